"""JobLogHandler in a process of its own: named in settings, at the exit, and after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import logging, os, sys, time
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["joblot"],
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1],
                           "OPTIONS": {"transaction_mode": "IMMEDIATE"}}},
    LOGGING={
        "version": 1,
        "handlers": {"job": {"class": "joblot.JobLogHandler"}},
        "loggers": {"shop": {"handlers": ["job"], "level": "INFO"}},
    },
    JOBLOT={"LOG_FLUSH_SECONDS": 20},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from joblot import submit
shop = logging.getLogger("shop")
job = submit("j", ["a"], pipeline="p")
"""
END = """
print([line["message"] for line in logs(1) if line["event"] is None])
"""
READ = BEGIN.split("from joblot import submit", maxsplit=1)[0] + "from joblot import logs" + END


def run(program: str, database: Path) -> str:
    # Python 3.12 and newer warn of any fork beside a thread; that this one is safe is shown here.
    options = ["-W", "error::ResourceWarning", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *options, "-c", program, str(database)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_what_is_logged_last_is_written_when_the_interpreter_exits(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    run(BEGIN + 'for n in range(30): shop.info("%d", n, extra={"job": job.pk})', database)
    assert run(READ, database) == str([str(n) for n in range(30)])


def test_an_exit_waits_for_no_longer_than_its_limit(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    blocking = """
from joblot import config
config.configure({"log_flush_seconds": 0.05})
import joblot.ledger.rows.log as log
log.append = lambda *_: time.sleep(3600)
shop.info("never", extra={"job": job.pk})
"""
    assert run(BEGIN + blocking, database) == ""
    assert run(READ, database) == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_writes_its_own_lines_and_the_parents_only_once(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    forking = """
from django.db import connections
shop.info("before the fork", extra={"job": job.pk})
connections.close_all()
child = os.fork()
shop.info("of the child" if child == 0 else "of the parent", extra={"job": job.pk})
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    run(BEGIN + forking, database)
    found = run(READ, database)
    assert sorted(eval(found)) == ["before the fork", "of the child", "of the parent"]
