"""The `joblot` command and its subcommands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from joblot.cli.commands import change, install, read
from joblot.cli.commands.audit import audit
from joblot.cli.commands.certify import certify
from joblot.cli.commands.deliver import deliver
from joblot.cli.commands.run import run
from joblot.cli.commands.serve import serve
from joblot.cli.commands.submit import submit
from joblot.cli.commands.sweep import sweep
from joblot.cli.commands.token import token
from joblot.cli.commands.webhook import webhook
from joblot.cli.commands.worker import worker
from joblot.cli.exits import DEBUG, Commands
from joblot.cli.text import say
from joblot.demo.command import demo


def group(commands: Iterable[Callable[..., Any]]) -> typer.Typer:
    """The `joblot` command with these subcommands."""
    made = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(options)
    for command in commands:
        made.command()(command)
    return made


def _print_version(asked: bool) -> None:
    if asked:
        say(f"joblot {version('joblot')}")
        raise typer.Exit


def options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error.")
    ] = False,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print joblot's version."
        ),
    ] = False,
) -> None:
    """An exact ledger for big jobs.

    Exit codes:

    0 success; 1 bad end or failed check; 2 usage; 3 not found or refused; 4 unavailable.
    """
    if debug:
        os.environ[DEBUG] = "1"


COMMANDS = (
    run,
    serve,
    worker,
    submit,
    read.jobs,
    read.show,
    read.watch,
    read.why,
    read.items,
    read.logs,
    change.seal,
    change.cancel,
    change.pause,
    change.resume,
    change.retry,
    change.delete,
    audit,
    sweep,
    deliver,
    install.doctor,
    install.migrate,
    certify,
    demo,
)

app = group(COMMANDS)
app.add_typer(token, name="token")
app.add_typer(webhook, name="webhook")


def start() -> None:
    """The entry point."""
    app(prog_name="joblot")
