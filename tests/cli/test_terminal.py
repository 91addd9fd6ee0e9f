"""On a terminal: bars with words, colors and counts, within its width; NO_COLOR is respected."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from pathlib import Path

from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import failure, success
from tests.cli.conftest import JOBLOT

COLUMNS = 50
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(db: str, *args: object, **more: str) -> str:
    """What the command writes to a terminal of its own."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))}
    environment = ours | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"} | more
    here, there = pty.openpty()
    with subprocess.Popen(
        [JOBLOT, *map(str, args), "--db", db], stdout=there, stderr=there, env=environment
    ) as command:
        os.close(there)
        said = b"".join(iter(lambda: _read(here), b""))
        os.close(here)
        command.wait(60)
    return said.decode()


def _read(terminal: int) -> bytes:
    select.select([terminal], [], [], 60)
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the command has closed its end
        return b""


def test_a_job_is_shown_with_bars(sqlite_only: str, sqlite_database: Path):
    job = submit("tiles", ["a", "b", "c"], pipeline="p").pk
    (lease,) = claim("p", 2).leases
    report(lease.token, [success(0), failure(1, "ValueError", "no")])
    said = on_a_terminal(str(sqlite_database), "show", job)
    assert "\x1b[38;" in said
    lines = [line for line in CONTROL.sub("", said).splitlines() if line.strip()]
    assert max(map(len, lines)) <= COLUMNS
    words = " ".join(" ".join(lines).split())
    assert "✓ 1 succeeded ✕ 1 failed · 1 ready = 3" in words
    assert "█" in said
    plain = on_a_terminal(str(sqlite_database), "show", job, NO_COLOR="1")
    assert "\x1b[38;" not in plain


def test_a_job_is_watched_until_it_ends(sqlite_only: str, sqlite_database: Path):
    job = submit("tiles", ["a"], pipeline="p").pk
    (lease,) = claim("p").leases
    report(lease.token, [success(0)])
    said = CONTROL.sub("", on_a_terminal(str(sqlite_database), "watch", job))
    assert f"job {job} tiles: Succeeded, 100 %" in said
    assert "✓ 1 succeeded  = 1" in said
