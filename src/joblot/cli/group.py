"""A group of commands, with the options that precede them. Imports no Django."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command, get_group

from joblot.cli.exits import DEBUG, Commands
from joblot.cli.printable import say


class LoadedWhenUsed(dict[str, Any]):
    """Commands by name, each imported when it is first used: most of a start is imports.

    `places` maps a name to `module:function`, or to `module:group`.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__(dict.fromkeys(places))
        self._places = places

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = _loaded(name, self._places[name])
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        return [self[name] for name in self]


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    command = get_group(found) if isinstance(found, typer.Typer) else _alone(name, found)
    command.name = name
    return command


def _alone(name: str, function: Callable[..., Any]) -> Any:
    made = typer.Typer(add_completion=False)
    made.command(name)(function)
    return get_command(made)


def group(kind: type[Commands]) -> typer.Typer:
    """The `joblot` command, with the subcommands of `kind`."""
    made = typer.Typer(
        cls=kind,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(options)
    return made


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 (slow to load)

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
