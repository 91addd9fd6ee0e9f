"""`joblot sweep`: what time brings, without a server."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.database import describe, open_database
from joblot.cli.options import AsJson, Db
from joblot.errors import InvalidInput


def sweep(
    *,
    forever: Annotated[
        bool, typer.Option("--forever", help="Go on until SIGTERM or Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Expire leases, go on with cancels and retries, finish jobs, deliver events: once."""
    if forever and as_json:
        raise InvalidInput("--json: tells what one sweep did; leave out --forever")
    open_database(db)
    if forever:
        _sweep_until_told()
        return
    swept = asdict(verbs.sweep())
    if as_json:
        text.print_json(swept)
    else:
        told = (f"{name.replace('_', ' ')}: {count:,}" for name, count in swept.items())
        text.out().print(", ".join(told))


def _sweep_until_told() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    text.err().print(f"joblot sweeps {describe()}", soft_wrap=True)
    verbs.sweep_until(stop)
