"""`joblot deliver`: run a project's event handlers, and remove files from its storage."""

from __future__ import annotations

from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.clocks import run_until_signaled
from joblot.cli.database import describe, open_database
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say_json
from joblot.errors import InvalidInput
from joblot.log_format import log_to_stderr


def deliver(
    *,
    forever: Annotated[
        bool, typer.Option("--forever", help="Run until SIGTERM or Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Deliver events to their handlers, and remove files that the sweep has marked, once.

    Both run in separate processes, which are killed when they exceed their time limit. `serve` and
    `sweep` do this too.
    """
    if forever and as_json:
        raise InvalidInput("--json: reports a single delivery round; leave out --forever")
    log_to_stderr("joblot deliver")
    open_database(db)
    if forever:
        text.err().print(f"joblot delivers events of {describe()}", soft_wrap=True)
        run_until_signaled(verbs.supervise_until)
        return
    done = {"deliveries": verbs.deliver_once(), "files_removed": verbs.remove_files_once()}
    if as_json:
        say_json(done)
    else:
        counts = (f"{name.replace('_', ' ')}: {count:,}" for name, count in done.items())
        text.out().print(", ".join(counts))
