"""A group of commands, with the options that precede them. Imports no Django."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Annotated, Any

import typer

from joblot.cli.exits import DEBUG, Commands
from joblot.cli.printable import say


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
