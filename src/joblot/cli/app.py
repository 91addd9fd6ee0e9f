"""The `joblot` command and its subcommands."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from joblot.cli.commands import change, install, read
from joblot.cli.commands.run import run
from joblot.cli.commands.serve import serve
from joblot.cli.commands.submit import submit
from joblot.cli.commands.token import token
from joblot.cli.exits import DEBUG, Commands
from joblot.demo.command import demo

COMMANDS = (
    run,
    serve,
    submit,
    read.jobs,
    read.show,
    read.watch,
    read.why,
    read.items,
    read.logs,
    change.cancel,
    change.pause,
    change.resume,
    change.retry,
    change.delete,
    read.audit,
    install.doctor,
    install.migrate,
    demo,
)

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"joblot {version('joblot')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Tell joblot's version."
        ),
    ] = False,
) -> None:
    """Keep the count of big jobs right.

    Exit codes: 0 done, 1 the job ended with errors or failed, 2 usage, 3 not found or refused,
    4 unavailable.
    """
    if debug:
        os.environ[DEBUG] = "1"


for command in COMMANDS:
    app.command()(command)
app.add_typer(token, name="token")


def start() -> None:
    """The entry point."""
    app(prog_name="joblot")
