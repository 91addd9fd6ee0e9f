"""`joblot demo`: options and exit codes.

Modules that need Django are imported after its setup.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from joblot import standalone
from joblot.demo.database import APPS, opened
from joblot.demo.digits import key
from joblot.errors import Unavailable
from joblot.places import DATABASE_URL

NOT_EXACT, INTERRUPTED = 1, 130  # exit codes


def demo(
    *,
    db: Annotated[
        str, typer.Option(help="sqlite or postgres (both temporary), an SQLite file, or a URL.")
    ] = "sqlite",
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 2026,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also draw the report to this file.")] = None,
    lose_a_row: Annotated[
        bool, typer.Option("--lose-a-row", help="Leave one row unsaved, to see the demo fail.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve the pages of the finished job.")
    ] = False,
) -> None:
    """Count 1,797 real digits exactly, with workers that die, report late and report twice.

    Exit codes: 0 every number is exact, 1 one is not, 4 something is missing on this machine.
    """
    if find_spec("sklearn") is None:
        raise Unavailable("scikit-learn is missing; install it with: pip install 'joblot[demo]'")
    for number in (signal.SIGINT, signal.SIGTERM):  # alike, even where a shell ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    console = Console(stderr=as_json)
    try:
        with opened(db) as url:
            run, found = _play(console, url, seed, key(0) if lose_a_row else None)
            report: Any = import_module("joblot.demo.report")
            console.print(report.page(run, found), highlight=False)
            if as_json:
                print(json.dumps(report.as_json(run, found)))
            if svg is not None:
                report.draw(run, found, svg, f"joblot demo --db {db}")
            if serve:
                _serve(url, run.job["id"])
    except KeyboardInterrupt:
        console.print("interrupted; the workers have ended")
        raise typer.Exit(INTERRUPTED) from None
    if not serve:
        console.print(f"see this job's page: joblot demo --db {db} --serve", highlight=False)
    if not all(check.ok for check in found):
        raise typer.Exit(NOT_EXACT)


def _serve(url: str, job_id: int) -> None:
    """Serve the demo's database until Ctrl-C; the server prints a link to the job."""
    command = [sys.executable, "-m", "joblot.cli", "serve", "--port", "0", "--job", str(job_id)]
    with subprocess.Popen(command, env={**os.environ, DATABASE_URL: url}) as server:
        try:
            server.wait()
        except KeyboardInterrupt:  # the server has got it too
            server.terminate()


def _play(console: Console, url: str, seed: int, lost_key: str | None) -> tuple[Any, list[Any]]:
    """Return the run and its checks."""
    # Four processes share the cores; more threads in each of them would only wait.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    standalone.setup(url, apps=APPS)
    console.print(
        f"1,797 digits and one broken item, 4 worker processes, seed {seed}", highlight=False
    )
    run = import_module("joblot.demo.play").play(url, seed, console, lost_key=lost_key)
    return run, import_module("joblot.demo.checks").checks(run)
