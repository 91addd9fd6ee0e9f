"""Where a simulation runs: in its own database, or in Django's."""

from __future__ import annotations

import os
import subprocess
import sys

from django.db import connections

from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.testing.simulator import simulate

OURS = ("JOBLOT_", "DJANGO_")


def command(*args: str) -> subprocess.CompletedProcess[str]:
    """Call it as a user without a Django project would."""
    return subprocess.run(
        [sys.executable, "-m", "joblot.testing.simulator", *args],
        env={k: v for k, v in os.environ.items() if not k.startswith(OURS)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_database_of_its_own_leaves_djangos_alone(ledger_db: str) -> None:
    job = submit("mine", ["a"], pipeline="p")
    vendor = connections[ledger_db].vendor
    assert simulate(4, steps=20, database="sqlite").database == "SQLite"
    assert connections[ledger_db].vendor == vendor
    assert Job.objects.get().pk == job.pk


def test_the_command_prints_what_held() -> None:
    done = command("--seed", "3", "--steps", "20")
    assert (done.returncode, done.stderr) == (0, "seed 3 …\n")
    assert "seed 3 on SQLite, 20 steps" in done.stdout
    assert "all exact" in done.stdout


def test_a_database_that_is_none_is_unavailable() -> None:
    done = command("--seed", "3", "--db", "mysql://somewhere")
    assert (done.returncode, done.stdout) == (4, "")
    assert "expected postgresql://" in done.stderr
