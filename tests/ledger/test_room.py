"""Hooks that hang leave threads free for everything else."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from joblot.errors import Unavailable
from joblot.ledger import room
from joblot.ledger.report.hooks import SettledResult, on_result
from joblot.ledger.room import limit_to
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, keys, succeed


@pytest.fixture
def room_for_one() -> Iterator[None]:
    limit_to(1)
    yield
    limit_to(math.inf)


def test_while_hooks_that_hang_take_all_room_others_are_refused_and_the_rest_goes_on(
    postgres_only: str, room_for_one: None, in_thread: Any
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    @on_result("p")
    def hook(results: Sequence[SettledResult]) -> None:
        if results[0].number == 0:
            hangs.set()
            assert go_on.wait(30)

    job = submit("hung", keys(2), pipeline="p")
    first, second = worker.lease(limit=1), worker.lease(limit=1)
    other = submit("other", keys(1), pipeline="q")
    running = in_thread(succeed, first)
    try:
        assert hangs.wait(30)
        with pytest.raises(Unavailable, match="1 calls of hooks and of the storage are running"):
            succeed(second)
        assert succeed(worker.lease("q")) == ["counted"]  # has no hook
    finally:
        go_on.set()
    assert running.result() == ["counted"]
    assert succeed(second) == ["counted"]
    assert (counts(job), counts(other)) == ({"succeeded": 2}, {"succeeded": 1})


def test_a_hook_that_is_quick_makes_room(
    postgres_only: str, room_for_one: None, in_thread: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "WAIT_SECONDS_MAX", 30.0)  # on a busy machine
    on_result("p")(lambda results: None)
    job = submit("quick", keys(8), pipeline="p")
    leases = [worker.lease(limit=1) for _ in range(8)]
    reports = [in_thread(succeed, lease) for lease in leases]
    assert [one.result() for one in reports] == [["counted"]] * 8
    assert counts(job) == {"succeeded": 8}
