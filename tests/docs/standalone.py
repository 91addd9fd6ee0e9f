"""Runs commands on a database of its own, without a Django project; run by test_runbook.py.

`python standalone.py FOLDER`, with the commands as JSON on standard input. Each gets a job in the
state that it is for. Writes `[[command, exit code, output], …]`.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from typer.testing import CliRunner

from joblot.standalone import setup

setup(path=Path(sys.argv[1]) / "own.sqlite3")

from joblot import cancel, claim, maintenance, pause, submit, webhooks  # noqa: E402
from joblot.cli.app import app  # noqa: E402
from joblot.cli.database import migrate  # noqa: E402


def plain() -> str:
    return str(submit("plain", ["a"], pipeline="p").pk)


def held() -> str:
    return str(submit("held", ["a"], pipeline="p", start=False).pk)


def paused() -> str:
    return str(pause(submit("paused", ["a"], pipeline="p").pk).pk)


def ended() -> str:
    return str(cancel(submit("ended", ["a"], pipeline="p").pk, grace_seconds=0).pk)


def unsealed() -> str:
    return str(submit("open", ["a"], pipeline="p", seal=False).pk)


def lease() -> str:
    job = submit("leased", ["a"], pipeline="p").pk
    return str(claim("p", job=job).leases[0].token)


def worker() -> str:
    job = submit("worked", ["a"], pipeline="p").pk
    claim("p", job=job, worker="gpu-7/4f1c0a9be1d2")
    return "gpu-7/4f1c0a9be1d2"


def webhook() -> str:
    return str(webhooks.subscribe("https://receiver.example/")[1]["id"])


def delivery() -> str:
    number = int(webhook())
    ended()
    maintenance.sweep()
    return str(webhooks.deliveries(number)[0]["id"])


JOBS: dict[str, Callable[[], str]] = {
    "start": held,
    "resume": paused,
    "retry": ended,
    "seal": unsealed,
}


def done(command: str) -> tuple[str, int, str]:
    words = shlex.split(command.partition("#")[0].partition(" > ")[0])[1:]
    makers = {"JOB": JOBS.get(words[0], plain), "TOKEN": lease, "WEBHOOK": webhook}
    makers["WORKER"] = worker
    makers["DELIVERY"] = delivery
    args = [makers[word]() if word in makers else word for word in words]
    if words[0] == "prune":
        args.append("--yes")  # nobody is here to confirm it
    result = CliRunner().invoke(app, args)
    return command, result.exit_code, result.output


if __name__ == "__main__":
    migrate()
    assert maintenance.prune(timedelta(0)) == 0
    sys.stdout.write(json.dumps([done(command) for command in json.load(sys.stdin)]))
