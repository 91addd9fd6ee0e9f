"""joblot over HTTP: `joblot serve`, `joblot submit --url`, and `joblot worker` with two processes.

Tuned: the function takes lists (`--batch`), docs/how-to/worker.md, and a lease is 20 s long, as the
visibility timeout of Celery in celery_redis.py; its default is 300 s. The spool of results is kept
over a SIGKILL, as it is on any machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from joblot_work import FUNCTION
from note import BATCH, DATABASE_URL, ITEMS, TUNED

URL = f"http://127.0.0.1:{os.environ['PEER_PORT']}"
JOBLOT = [sys.executable, "-m", "joblot.cli"]
READY_WITHIN_SECONDS = 60
if DATABASE_URL:
    os.environ["JOBLOT_DATABASE_URL"] = DATABASE_URL


def prepare() -> None:
    subprocess.run([*JOBLOT, "migrate"], check=True)
    scopes = ["--scope", "submit", "--scope", "work", "--scope", "read"]
    command = [*JOBLOT, "token", "create", "bench", *scopes]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    Path("token").write_text(token.strip())


def serve() -> None:
    os.execv(sys.executable, [*JOBLOT, "serve", "--port", os.environ["PEER_PORT"]])


def submit() -> None:
    with Path("lines").open("w") as file:
        file.writelines(f"{number}\n" for number in range(ITEMS))
    lease = ["--policy", "lease_seconds=20"] if TUNED else []
    _remote("submit", "bench", "--pipeline", "no-op", "--lines", "lines", "--url", URL, *lease)


def drain() -> None:
    batch = ["--batch", str(BATCH)] if BATCH else []
    work = ["--pipeline", "no-op", "--processes", "2", "--spool", "spool", "--url", URL]
    _remote("worker", FUNCTION, *batch, *work)


def _remote(*arguments: str) -> None:
    """Run a command as a client would: with the server's address, and no database."""
    environment = os.environ | {"JOBLOT_TOKEN": Path("token").read_text()}
    del environment["JOBLOT_DATABASE_URL"]
    os.execve(sys.executable, [*JOBLOT, *arguments], environment)


def ready() -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{URL}/readyz", timeout=5).read()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    verbs = (prepare, serve, ready, submit, drain)
    {verb.__name__: verb for verb in verbs}[sys.argv[1]]()
