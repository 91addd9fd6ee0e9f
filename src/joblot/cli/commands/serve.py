"""`joblot serve`."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from joblot import local, private
from joblot.cli import text, verbs
from joblot.cli.commands.open import link
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
            f"the server's dependencies are missing ({error.name}); install them with: "
            "pip install 'joblot[server]'"
        ) from error
    return serve


def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 picks a free port.")
    ] = PORT,
    processes: Annotated[
        int, typer.Option("--processes", min=1, max=64, help="More than 1 only on PostgreSQL.")
    ] = 1,
    threads: Annotated[
        int, typer.Option("--threads", min=1, max=256, help="Concurrent requests per process.")
    ] = 16,
    job: Annotated[
        int | None, typer.Option("--job", metavar="JOB", help="Print a link to this job's page.")
    ] = None,
    db: Db = None,
) -> None:
    """Serve the pages and the HTTP API, and sweep. Creates the tables on its first start."""
    run = _server()
    make_served_database(db)
    if processes > 1 and is_embedded():
        raise InvalidInput(
            "--processes: SQLite allows only 1; set JOBLOT_DATABASE_URL to use PostgreSQL"
        )
    if not local.is_loopback(host) and not verbs.any_token():
        raise NotAuthenticated(
            f"--host {host}: others can reach this address, but there is no token to authenticate "
            "them; create one with `joblot token create NAME --scope SCOPE`, or serve on 127.0.0.1"
        )
    missing = _take_local_token()
    run(
        host,
        port,
        processes=processes,
        threads=threads,
        on_bound=lambda url: _announce(url, missing, job),
    )


def _take_local_token() -> str:
    """Let this server and its child processes accept the local token; returns why it can't."""
    try:
        os.environ[local.ACCEPTED] = str(local.token_file())
        local.make_token()
    except Unavailable as error:
        return str(error)
    return ""


def _announce(url: str, missing: str, job: int | None) -> None:
    """Print the address, and how to authenticate: with the local token, or with a created one."""
    lines = [f"joblot serves {url} on {describe()}"]
    here = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//127.0.0.1:")
    if missing:
        lines.append(f"  every request needs a token that you create: {missing}")
    elif local.is_local(here):
        lines.append(f"  open the pages:       {_entry(here, job)}")
        header = shlex.quote(os.environ[local.ACCEPTED])
        lines.append(f"  start a worker here:  joblot worker FUNC --url {here}")
        lines.append(f"  list jobs here:       curl -H @{header} {here}/api/v1/jobs")
    lines.append("  give others access:   joblot user add NAME; joblot token create NAME ...")
    for line in lines:
        text.err().print(line, soft_wrap=True)


def _entry(here: str, job: int | None) -> str:
    """A link that works once, unless other users could read it in the file that it goes to."""
    mode = os.fstat(sys.stderr.fileno()).st_mode
    if stat.S_ISREG(mode) and mode & private.OTHERS:
        return "joblot open"
    try:
        return link(here, job)
    except Unavailable as error:
        return f"not here: {error}"
