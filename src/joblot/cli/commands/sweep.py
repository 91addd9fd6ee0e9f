"""`joblot sweep`: the periodic check, without a server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.clocks import run_until_signaled
from joblot.cli.database import describe, open_database
from joblot.cli.options import AsJson, Db
from joblot.cli.printable import say_json
from joblot.errors import InvalidInput
from joblot.log_format import log_to_stderr


def sweep(
    *,
    forever: Annotated[
        bool, typer.Option("--forever", help="Run until SIGTERM or Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Expire leases, continue cancels and retries, finish jobs and deliver events, once.

    Event handlers and the removal of files from the storage run in separate processes, which are
    killed when they exceed their time limit.
    """
    if forever and as_json:
        raise InvalidInput("--json: reports a single sweep; leave out --forever")
    log_to_stderr("joblot sweep")
    open_database(db)
    if forever:
        text.err().print(f"joblot sweeps {describe()}", soft_wrap=True)
        run_until_signaled(verbs.sweep_until, verbs.supervise_until)
        return
    swept = asdict(verbs.sweep())
    swept |= {"deliveries": verbs.deliver_once(), "files_removed": verbs.remove_files_once()}
    if as_json:
        say_json(swept)
    else:
        counts = (f"{name.replace('_', ' ')}: {count:,}" for name, count in swept.items())
        text.out().print(", ".join(counts))
