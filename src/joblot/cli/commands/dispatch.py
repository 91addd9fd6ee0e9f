"""`joblot dispatch`."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from joblot.cli import text
from joblot.cli.database import describe, make_served_database
from joblot.cli.options import Db
from joblot.errors import InvalidInput, Unavailable
from joblot.log_format import log_to_stderr
from joblot.worker.order import NATS, nats_of

ITEMS, WINDOW, THREADS = 64, 64, 16


def dispatch(
    *,
    nats: Annotated[
        str | None,
        typer.Option("--nats", metavar="URL", help=f"NATS with JetStream (default: {NATS})."),
    ] = None,
    pipeline: Annotated[
        list[str] | None,
        typer.Option("--pipeline", metavar="NAME", help="Lease for this pipeline. Repeatable."),
    ] = None,
    items: Annotated[
        int, typer.Option("--items", min=1, max=1_000, help="The most that one grant has.")
    ] = ITEMS,
    window: Annotated[
        int,
        typer.Option("--window", min=1, max=10_000, help="Grants of a pipeline on their way."),
    ] = WINDOW,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of this dispatcher, unique (default: by the host's name)."),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", min=1, max=256, help="Concurrent requests of workers.")
    ] = THREADS,
    db: Db = None,
) -> None:
    """Lease items in the ledger, send the grants to workers over NATS, and answer the workers.

    Run `joblot serve` or `joblot sweep --forever` as well, for leases that are not renewed.
    """
    url = nats_of(nats)
    if not url or not pipeline:
        raise InvalidInput(f"expected --nats URL (or {NATS}), and --pipeline NAME")
    log_to_stderr("joblot dispatch")
    make_served_database(db)
    try:
        from joblot.dispatch.feed import FeedSettings  # noqa: PLC0415 (an extra)
        from joblot.server.dispatching import dispatch as run  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise Unavailable(
            f"the dispatcher's dependencies are missing ({error.name}); install them with: "
            "pip install 'joblot[server,nats]'"
        ) from error
    names = ", ".join(pipeline)
    text.err().print(f"joblot dispatches {names} of {describe()}", soft_wrap=True)
    settings = FeedSettings(name or f"dispatch-{socket.gethostname()}", items, window)
    run(url, list(dict.fromkeys(pipeline)), settings, threads)
