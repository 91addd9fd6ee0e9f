"""`joblot serve`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from typing import Annotated

import typer

from joblot import local
from joblot.cli import text, verbs
from joblot.cli.database import describe, make_served_database
from joblot.cli.options import Db
from joblot.errors import InvalidInput, NotAuthenticated, Unavailable
from joblot.standalone import is_embedded

PORT = 8642


def _server() -> Callable[..., None]:
    try:
        from joblot.server.serve import serve  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise Unavailable(
            f"the server's parts are missing ({error.name}); install them with: "
            "pip install 'joblot[server]'"
        ) from error
    return serve


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
    run = _server()
    make_served_database(db)
    if processes > 1 and is_embedded():
        raise InvalidInput("--processes: SQLite takes one; JOBLOT_DATABASE_URL names a PostgreSQL")
    if not local.is_loopback(host) and not verbs.any_token():
        raise NotAuthenticated(
            f"--host {host}: others can reach this address, and there is no token that would let "
            "one of them in; make one with `joblot token create NAME --scope SCOPE`, or serve on "
            "127.0.0.1"
        )
    lacks = _take_local_token()
    run(
        host,
        port,
        processes=processes,
        threads=threads,
        on_bound=lambda url: _tell(url, lacks),
    )


def _take_local_token() -> str:
    """Let this server, and the processes it starts, take the local token; why none can be had."""
    try:
        os.environ[local.ACCEPTED] = str(local.token_file())
        local.make_token()
    except Unavailable as error:
        return str(error)
    return ""


def _tell(url: str, lacks: str) -> None:
    """Where it is, and how to be let in: here by the local token, else by one that is made."""
    lines = [f"joblot serves {url} on {describe()}"]
    here = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//127.0.0.1:")
    if lacks:
        lines.append(f"  nobody is let in here without a token that was made: {lacks}")
    elif local.is_local(here):
        header = shlex.quote(os.environ[local.ACCEPTED])
        lines.append(f"  work for it here:     joblot worker FUNC --url {here}")
        lines.append(f"  ask it here:          curl -H @{header} {here}/api/v1/jobs")
    lines.append("  let in somebody else: joblot token create NAME --scope SCOPE")
    for line in lines:
        text.err().print(line, soft_wrap=True, markup=False, highlight=False)
