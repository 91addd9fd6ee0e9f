"""A chord on Redis: what becomes of its callback.

    python bench/peers/wrong/celery_redis_chord.py

Celery 5.7 counts each member once, and gives one worker the claim to send the callback: the one
that counted the last member. If it is killed before it has sent it, the message of the member is
acknowledged already, so nobody looks at the chord again. Late acknowledgement does not help: the
member's result is stored, so Celery takes it for done and does not run it again. Here the worker
kills itself at that point, as a lack of memory or power would.

In the other two cases a member that waits is revoked, and the result back-end loses its keys while
a member waits. Needs redis-server.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from celery import Celery, chord, signals
from celery.result import GroupResult

MEMBERS = 5
WAIT_SECONDS = 60
LAST_SECONDS = 5  # the last member is due after this
CASES = {
    "the winner is killed": "acknowledged early",
    "the winner is killed, late": "acknowledged late",
    "a member is revoked": "before it is due",
    "the back-end is flushed": "while a member waits",
}

port, case = os.environ.get("CHORD_PORT", "1"), os.environ.get("CHORD_CASE", "")
folder = Path(os.environ.get("CHORD_FOLDER", "."))
server = f"redis://127.0.0.1:{port}"
app = Celery("celery_redis_chord", broker=f"{server}/0", backend=f"{server}/1")
app.conf.task_acks_late = app.conf.task_reject_on_worker_lost = case.endswith("late")


@app.task(name="member")
def member(number: int) -> int:
    with (folder / "members").open("a") as file:
        file.write(f"{number} ")
    return number


@app.task(name="callback")
def callback(results: list[int]) -> None:
    (folder / "called").touch()


@signals.before_task_publish.connect(sender="callback")
def die_once(**_: Any) -> None:
    """In the worker that won: it has the claim, and is about to send the callback."""
    if case.startswith("the winner") and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def submit() -> None:
    members = [member.s(number) for number in range(MEMBERS - 1)]
    last = member.s(MEMBERS - 1).set(countdown=LAST_SECONDS)
    found = chord([*members, last])(callback.s())
    group = found.parent
    assert isinstance(group, GroupResult)
    time.sleep(LAST_SECONDS / 2)  # the worker is there, and the last member waits
    if case == "a member is revoked":
        group.children[-1].revoke()
    if case == "the back-end is flushed":
        redis.Redis(port=int(port), db=1).flushdb()


def show(name: str) -> None:
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = str(probe.getsockname()[1])
        probe.close()
        here = {
            "cwd": Path(__file__).parent,
            "stderr": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
        }
        given = {"CHORD_PORT": free, "CHORD_FOLDER": home, "CHORD_CASE": name}
        environment = os.environ | given
        command = ["redis-server", "--port", free, "--bind", "127.0.0.1", "--dir", home]
        started = [subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)]
        celery = [sys.executable, "-m", "celery", "-A", "celery_redis_chord", "worker", "-c", "2"]
        started.append(subprocess.Popen([*celery, "-l", "CRITICAL"], env=environment, **here))
        try:
            time.sleep(LAST_SECONDS)  # for the worker to begin
            code = "import celery_redis_chord as it; it.submit()"
            subprocess.run([sys.executable, "-c", code], env=environment, check=True, **here)
            time.sleep(WAIT_SECONDS)
            ran = (Path(home) / "members").read_text().split()
            print(
                f"{name} ({CASES[name]}): {len(set(ran))} of {MEMBERS} members ran, in "
                f"{len(ran)} calls; the callback was called: {(Path(home) / 'called').exists()}",
                flush=True,
            )
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    for one in CASES:
        show(one)
