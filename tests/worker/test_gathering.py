"""After a costly post, results gather for the next one, unless they are awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from joblot.cli.local_client import LocalClient
from joblot.config import limits
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.wire import ItemReceipt, NextClaim, Reported, Result, success
from joblot.worker import backlog, each
from joblot.worker.backlog import REPORT_BYTES_MAX, Backlog, Kept
from tests.polling import eventually
from tests.worker.conftest import Working, ended, numbered

SECONDS_MAX = 30.0
FOR_EVER = 600.0


class Counting(LocalClient):
    """Counts the reports and their results."""

    def __init__(self) -> None:
        super().__init__()
        self.reports = self.results = 0

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        self._count(results)
        return super().report(token, results)

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        self._count(results)
        return super().report_and_claim(token, results, claim_next)

    def _count(self, results: Sequence[Result]) -> None:
        self.reports += 1
        self.results += len(results)


@pytest.fixture
def costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every post is so costly that results gather until they are awaited."""
    monkeypatch.setattr(backlog, "POSTS_SHARE", 1e-12)
    monkeypatch.setattr(backlog, "GATHER_SECONDS_MAX", FOR_EVER)


def test_the_results_of_a_lease_share_a_post(ledger_db: str, working: Working, costly: None):
    job = submit("j", numbered(300), pipeline="p")
    client = Counting()
    with working(each(lambda n: n), client=client):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert client.results == 300
    assert client.reports == Lease.objects.count() < 100
    assert audit(job.pk)["ok"]


def test_a_result_is_posted_soon_while_the_next_item_takes_its_time(
    ledger_db: str, working: Working, monkeypatch: pytest.MonkeyPatch
):
    """However costly the posts are."""
    monkeypatch.setattr(backlog, "POSTS_SHARE", 1e-12)
    job = submit("j", numbered(8), pipeline="p")
    client = Counting()

    def after_the_one_before(n: int) -> int:
        return int(eventually(lambda: client.results >= n) and n)

    with working(each(after_the_one_before), client=client, claim_aim_seconds=FOR_EVER):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert Lease.objects.count() == 2  # with more leases, results are reported at their ends


class TestResultsThatGatherArePosted:
    @pytest.fixture
    def waiting(self, costly: None) -> Iterator[Backlog]:
        """One result has been posted, and another one waits."""
        one = Backlog(threading.Event())
        one.put([Kept("token", success(0), 2)])
        batch = one.next_batch()
        assert batch is not None
        one.posted(batch, [])
        one.put([Kept("token", success(1), 2)])
        yield one
        one.end(0.0)

    @pytest.fixture
    def pool(self, waiting: Backlog) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(2)

    @pytest.mark.parametrize(
        "why",
        [
            pytest.param(lambda one: one.wish(NextClaim(["p"])), id="with the next claim"),
            pytest.param(lambda one: one.end(SECONDS_MAX), id="at the end"),
            pytest.param(
                lambda one: one.put(
                    [Kept("token", success(n), 2) for n in range(limits().results_per_report_max)]
                ),
                id="when they fill a report",
            ),
            pytest.param(
                lambda one: one.put([Kept("token", success(2), REPORT_BYTES_MAX)]),
                id="when they fill a report's bytes",
            ),
        ],
    )
    def test_when_they_are_awaited(
        self, waiting: Backlog, pool: ThreadPoolExecutor, why: Callable[[Backlog], Any]
    ):
        posting = pool.submit(waiting.next_batch)
        why(waiting)
        assert posting.result(SECONDS_MAX)

    def test_when_a_thread_waits_for_their_receipts(
        self, waiting: Backlog, pool: ThreadPoolExecutor
    ):
        posting = pool.submit(waiting.next_batch)
        flushing = pool.submit(waiting.flush)
        batch = posting.result(SECONDS_MAX)
        assert batch is not None
        waiting.posted(batch, [])
        flushing.result(SECONDS_MAX)
