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
from joblot.worker.nats_address import NATS, NATS_CREDS, NatsAddress, given_nats

ITEMS, WINDOW, THREADS = 64, 64, 16


def dispatch(
    *,
    nats: Annotated[
        str | None,
        typer.Option("--nats", metavar="URL", help=f"NATS with JetStream (default: {NATS})."),
    ] = None,
    nats_creds: Annotated[
        str | None,
        typer.Option(
            "--nats-creds", metavar="FILE", help=f"Credentials for NATS (default: {NATS_CREDS})."
        ),
    ] = None,
    pipeline: Annotated[
        list[str] | None,
        typer.Option("--pipeline", metavar="NAME", help="Lease for this pipeline. Repeatable."),
    ] = None,
    items: Annotated[
        int, typer.Option("--items", min=1, max=1_000, help="The most items of a grant.")
    ] = ITEMS,
    window: Annotated[
        int,
        typer.Option("--window", min=1, max=10_000, help="Outstanding grants of a pipeline."),
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
    """Lease items in the ledger, publish the grants to workers over NATS, and answer the workers.

    Run `joblot serve` or `joblot sweep --forever` as well, for leases that are not renewed.
    """
    servers, credentials_file = given_nats(nats, nats_creds)
    if not servers or not pipeline:
        raise InvalidInput(f"expected --nats URL (or {NATS}), and --pipeline NAME")
    log_to_stderr("joblot dispatch")
    make_served_database(db)
    try:
        from joblot.dispatch.publisher import DispatcherSettings  # noqa: PLC0415 (an extra)
        from joblot.server.dispatching import dispatch as run  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise Unavailable(
            f"the dispatcher's dependencies are missing ({error.name}); install them with: "
            "pip install 'joblot[server,nats]'"
        ) from error
    names = ", ".join(pipeline)
    text.err().print(f"joblot dispatches {names} of {describe()}", soft_wrap=True)
    settings = DispatcherSettings(name or f"dispatch-{socket.gethostname()}", items, window)
    run(
        NatsAddress.parsed(servers, credentials_file),
        list(dict.fromkeys(pipeline)),
        settings,
        threads,
    )
