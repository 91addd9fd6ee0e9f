"""`joblot demo`: options, and what the shell is told.

Imports neither Django nor scikit-learn: what needs them is imported once Django is set up.
"""

from __future__ import annotations

import json
import os
import signal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from joblot import standalone
from joblot.demo.database import APPS, opened
from joblot.demo.digits import key
from joblot.errors import InvalidInput, JoblotError

OK, NOT_EXACT, USAGE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 4, 130


def demo(
    db: Annotated[
        str, typer.Option(help="sqlite or postgres (both temporary), an SQLite file, or a URL.")
    ] = "sqlite",
    seed: Annotated[int, typer.Option(help="Of all that chance decides.")] = 2026,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw the report into this file, too.")] = None,
    lose_a_row: Annotated[
        bool, typer.Option(help="Leave one row out, on purpose: see the demo fail.")
    ] = False,
) -> None:
    """Count 1,797 real digits right, with workers that die, come late and report twice.

    Exit codes: 0 every number is exact, 1 one is not, 4 something is missing on this machine.
    """
    console = Console(stderr=as_json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if find_spec("sklearn") is None:
        _refuse(console, "scikit-learn is missing; install it with: pip install 'joblot[demo]'")
    try:
        with opened(db) as url:
            exact = _play(console, url, seed, as_json=as_json, svg=svg, lose_a_row=lose_a_row)
    except KeyboardInterrupt:
        console.print("interrupted; the workers have ended")
        raise typer.Exit(INTERRUPTED) from None
    except InvalidInput as error:
        _refuse(console, str(error), USAGE)
    except JoblotError as error:
        _refuse(console, str(error))
    raise typer.Exit(OK if exact else NOT_EXACT)


def _refuse(console: Console, why: str, code: int = UNAVAILABLE) -> None:
    console.print(f"joblot demo: {why}", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _play(
    console: Console, url: str, seed: int, *, as_json: bool, svg: Path | None, lose_a_row: bool
) -> bool:
    # Four processes share the cores; each of them with threads of its own would only wait.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    standalone.setup(url, apps=APPS)
    console.print(
        f"1,797 digits and a broken one, 4 worker processes, seed {seed}", highlight=False
    )
    play: Any = import_module("joblot.demo.play").play
    report: Any = import_module("joblot.demo.report")
    run = play(url, seed, console, lost_key=key(0) if lose_a_row else None)
    found = import_module("joblot.demo.checks").checks(run)
    console.print(report.page(run, found), highlight=False)
    if as_json:
        print(json.dumps(report.as_json(run, found)))
    if svg is not None:
        report.draw(run, found, svg)
    return all(check.ok for check in found)
