"""`joblot serve`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from joblot.cli import text, verbs
from joblot.cli.database import describe, make_served_database
from joblot.cli.options import Db
from joblot.errors import InvalidInput, NotAuthenticated, Unavailable
from joblot.standalone import is_embedded, sqlite_url

PORT = 8642


def _server() -> tuple[Callable[[str], bool], Callable[..., None]]:
    try:
        from joblot.server.serve import is_loopback, serve  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise Unavailable(
            f"the server's parts are missing ({error.name}); install them with: "
            "pip install 'joblot[server]'"
        ) from error
    return is_loopback, serve


def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one.")
    ] = PORT,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=64, help="More than 1 on PostgreSQL only.")
    ] = 1,
    threads: Annotated[
        int, typer.Option("--threads", min=1, max=256, help="Requests at once, in each process.")
    ] = 16,
    db: Db = None,
) -> None:
    """Serve the HTTP API, and sweep. Makes the tables on its first start."""
    is_loopback, run = _server()
    if db is not None:
        os.environ["JOBLOT_DATABASE_URL"] = sqlite_url(db)
    local = is_loopback(host)
    os.environ["JOBLOT_LOCAL"] = "1" if local else ""
    make_served_database()
    if processes > 1 and is_embedded():
        raise InvalidInput("--processes: SQLite takes one; JOBLOT_DATABASE_URL names a PostgreSQL")
    if not local and not verbs.any_token():
        raise NotAuthenticated(
            f"--host {host}: others can reach this address, and there is no token yet; make one "
            "with `joblot token create NAME --scope admin`, or serve on 127.0.0.1"
        )
    run(
        host,
        port,
        processes=processes,
        threads=threads,
        on_bound=lambda url: text.err().print(
            f"joblot serves {url} on {describe()}", soft_wrap=True
        ),
    )
