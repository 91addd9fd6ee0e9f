"""Child processes and their supervisor, whatever their purpose."""

from __future__ import annotations

import os
import queue
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import Unavailable
from joblot.worker.pulse import PulseWatch
from joblot.worker.supervisor import Answered, Died, Supervisor
from joblot.worker.watch import Watch
from tests.polling import eventually
from tests.proc import alive

HEARD_SECONDS_MAX = 30.0
CHILDREN = {
    "echoes": """
        while (order := supervised.order()) is not None:
            supervised.answer(**order)
        supervised.answer(done=7)
    """,
    "leaves_another": """
        import subprocess
        import threading
        other = subprocess.Popen(["sleep", "600"])
        supervised.answer(other=other.pid)
        threading.Event().wait()
    """,
    "never_leaves": """
        import threading
        threading.Thread(target=threading.Event().wait).start()
        supervised.answer(done=0)
    """,
}
Start = Callable[..., Supervisor]


class Hears(Watch):
    """A watch that considers the process hung once it has sent a message."""

    said = False

    def note_answer(self, answer: Mapping[str, Any]) -> None:
        self.said = True

    def hangs(self) -> bool:
        return self.said


@pytest.fixture
def happened() -> queue.SimpleQueue[Answered | Died]:
    return queue.SimpleQueue()


@pytest.fixture
def start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    happened: queue.SimpleQueue[Answered | Died],
) -> Iterator[Start]:
    """`start("echoes")` runs that child; all end after the test."""
    monkeypatch.syspath_prepend(tmp_path)  # so that a child is found only if it inherits our path
    started: list[Supervisor] = []

    def make(child: str, watch: Watch | None = None) -> Supervisor:
        begin = "from joblot.worker.supervised import Supervised\nsupervised = Supervised.begin()\n"
        (tmp_path / f"{child}.py").write_text(begin + textwrap.dedent(CHILDREN[child]))
        started.append(Supervisor(child, happened.put, same_path=True))
        started[-1].start(watch=watch or Watch(), name=child)
        return started[-1]

    yield make
    for one in started:
        one.kill()
        for process in list(one.processes):
            process.popen.wait()
            one.forget(process)


def test_orders_are_answered_until_they_end(
    start: Start, happened: queue.SimpleQueue[Answered | Died]
) -> None:
    supervisor = start("echoes")
    (process,) = supervisor.processes
    supervisor.say(process, {"a": 1})
    first = happened.get(timeout=HEARD_SECONDS_MAX)
    assert isinstance(first, Answered)
    assert (first.process, first.answer) == (process, {"a": 1})
    supervisor.drain()
    last = happened.get(timeout=HEARD_SECONDS_MAX)
    assert isinstance(last, Died)
    assert (last.code, last.frozen) == (7, False)
    supervisor.forget(process)
    assert supervisor.processes == []


def test_one_that_hangs_is_ended_with_all_that_it_has_started(
    start: Start, happened: queue.SimpleQueue[Answered | Died]
) -> None:
    start("leaves_another", Hears())
    answered = happened.get(timeout=HEARD_SECONDS_MAX)
    assert isinstance(answered, Answered)
    died = happened.get(timeout=HEARD_SECONDS_MAX)
    assert isinstance(died, Died)
    assert died.frozen
    eventually(lambda: not alive(answered.answer["other"]))


def test_one_that_is_done_and_does_not_leave_is_ended_with_the_code_it_said(
    start: Start,
    happened: queue.SimpleQueue[Answered | Died],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("joblot.worker.supervisor.LEAVE_SECONDS_MAX", 0.1)
    start("never_leaves")
    died = happened.get(timeout=HEARD_SECONDS_MAX)
    assert isinstance(died, Died)
    assert (died.code, died.frozen) == (0, False)


def test_what_can_not_be_started_is_unavailable_and_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, happened: queue.SimpleQueue[Answered | Died]
) -> None:
    monkeypatch.setattr(sys, "executable", "/there/is/none")
    before = os.listdir("/dev/fd")  # noqa: PTH208 (their names)
    supervisor = Supervisor("any", happened.put)
    with pytest.raises(Unavailable, match="can't be started"):
        supervisor.start(watch=PulseWatch(1.0))
    assert supervisor.processes == []
    assert set(os.listdir("/dev/fd")) <= set(before)  # noqa: PTH208
