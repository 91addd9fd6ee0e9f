"""State shared by the threads of one process, changed and read concurrently."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from joblot.ledger.claim import candidates
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim
from joblot.ledger.rows import claimable
from joblot.ledger.submit.submit import submit
from joblot.wire import GrantedLease
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.threads import Threads

THREADS = 16
SECONDS = 1.5


@pytest.fixture(autouse=True)
def eager_threads() -> Iterator[None]:
    """Make threads switch after almost every instruction."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(in_thread: Threads, call: Callable[[int], None]) -> None:
    """Call it from many threads at once until the time is over; their errors fail the test."""
    ends = time.monotonic() + SECONDS

    def many(number: int) -> None:
        while time.monotonic() < ends:
            call(number)

    running = [in_thread(many, number) for number in range(THREADS)]
    for one in running:
        one.result()


def test_candidates_are_read_while_others_refresh_them(
    ledger_db: str, in_thread: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs come and go; each reader sees one consistent state."""
    wanted = Wanted.of("p", None, None)
    states = [
        {f"p{n}": [candidates.Candidate((n, 0), None, ready=True)] for n in range(projects)}
        for projects in (0, 1, 5, 50)
    ]
    monkeypatch.setattr(candidates, "_waiting", lambda wanted: random.choice(states))
    cache = candidates.cache_for(wanted)
    claimable.note_claimable()  # left over from an earlier test

    def use(number: int) -> None:
        if number % 4 == 0:
            claimable.note_claimable()
        snapshot = cache.fresh() or cache.read(wanted)
        seen = [one.stage[0] for one in snapshot.in_order(cache.take_turn())]
        assert sorted(seen) == list(range(len(seen)))
        assert len(seen) in (0, 1, 5, 50)

    at_once(in_thread, use)


def test_what_was_forgotten_while_it_was_read_is_read_again(
    sqlite_only: str, caches_kept: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is submitted while another thread reads is not missed for long."""
    wanted = Wanted.of("p", None, None)
    cache = candidates.cache_for(wanted)
    old = {"p": [candidates.Candidate((1, 0), None, ready=True)]}

    def read_and_be_overtaken(wanted: Wanted) -> dict[str, list[candidates.Candidate]]:
        claimable.note_claimable()
        return old

    monkeypatch.setattr(candidates, "_waiting", read_and_be_overtaken)
    cache.read(wanted)
    assert cache.fresh() is None
    monkeypatch.setattr(candidates, "_waiting", lambda wanted: old)
    cache.read(wanted)
    assert cache.fresh() is not None


def test_a_slow_reader_does_not_put_an_older_state_over_a_newer(
    sqlite_only: str, caches_kept: None, in_thread: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted.of("p", None, None)
    cache = candidates.cache_for(wanted)
    reading, go_on = threading.Event(), threading.Event()

    def slowly(wanted: Wanted) -> dict[str, list[candidates.Candidate]]:
        reading.set()
        assert go_on.wait(30)
        return {"old": [candidates.Candidate((1, 0), None, ready=True)]}

    monkeypatch.setattr(candidates, "_waiting", slowly)
    slow = in_thread(cache.read, wanted)
    assert reading.wait(30)
    new = {"new": [candidates.Candidate((2, 0), None, ready=True)]}
    monkeypatch.setattr(candidates, "_waiting", lambda wanted: new)
    newer = cache.read(wanted)
    go_on.set()
    slow.result()
    assert cache.fresh() is newer


def test_threads_claim_while_jobs_come_and_go(ledger_db: str, in_thread: Threads) -> None:
    """Each item is granted once, and no claim fails."""
    granted: list[GrantedLease] = []

    def work(number: int) -> None:
        if number % 4 == 0:
            submit(f"j{number}", keys(3), pipeline="p", project=f"p{random.randrange(9)}")
            return
        for lease in claim("p", 2).leases:
            granted.append(lease)
            worker.succeed(lease)

    at_once(in_thread, work)
    worker.drain("p")
    taken = [(lease.job, item.id) for lease in granted for item in lease.items]
    assert len(taken) == len(set(taken))
    assert taken
