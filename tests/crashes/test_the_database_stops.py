"""PostgreSQL is stopped abruptly while reports are settled, and started again."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connections

from joblot.errors import Unavailable
from joblot.ledger.claim.claim import claim
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Event, Lease
from joblot.states import LeaseState
from joblot.testing.postgres import PostgresServer
from joblot.wire import GrantedLease, success
from tests.polling import eventually
from tests.threads import Threads

REPORTERS = 4
ITEMS = 2_000
BATCH = 10


class Reporter:
    """Claims and reports until there is no work; keeps the answers, whatever happens."""

    def __init__(self, stopping: threading.Event) -> None:
        self.counted: set[int] = set()  # acknowledged before the crash
        self.posted: list[GrantedLease] = []  # every lease it held
        self._stopping = stopping

    def work(self) -> None:
        while not self._stopping.is_set():
            try:
                answer = claim("p", BATCH)
                if not answer.leases:
                    return
                lease = answer.leases[0]
                self.posted.append(lease)
                self._note(lease)
            except Unavailable:
                return

    def _note(self, lease: GrantedLease) -> None:
        results = [success(item.id, {"n": item.id}, {"images": 1}) for item in lease.items]
        for receipt in report(lease.token, results):
            assert receipt.receipt == "counted"
            assert receipt.item is not None
            self.counted.add(receipt.item)

    def post_again(self) -> Counter[str]:
        """After the crash, post everything again, like a worker that got no answer."""
        receipts: Counter[str] = Counter()
        for lease in self.posted:
            results = [success(item.id, {"n": item.id}, {"images": 1}) for item in lease.items]
            receipts.update(receipt.receipt.value for receipt in report(lease.token, results))
        return receipts


def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(
    durable_postgres: PostgresServer,
) -> None:
    job = submit("crash", (f"k{n}" for n in range(ITEMS)), pipeline="p")
    stopping = threading.Event()
    reporters = [Reporter(stopping) for _ in range(REPORTERS)]
    threads = Threads()
    working = [threads(reporter.work) for reporter in reporters]
    eventually(lambda: sum(len(reporter.counted) for reporter in reporters) > ITEMS // 10)
    durable_postgres.stop("immediate")
    for one in working:
        one.result()
    connections["postgres"].close()
    durable_postgres.start()
    acknowledged = set[int]().union(*(reporter.counted for reporter in reporters))
    assert len(acknowledged) < ITEMS  # it was in the middle
    found = progress(job.pk)["stages"][0]
    assert found["succeeded"] >= len(acknowledged)

    again: Counter[str] = Counter()
    for reporter in reporters:
        again += reporter.post_again()
    assert set(again) <= {"counted", "duplicate"}
    assert again["duplicate"] >= len(acknowledged)
    for lost in Lease.objects.filter(state=LeaseState.LIVE):  # granted, but the answer was lost
        expire(lost.token)
    Reporter(threading.Event()).work()
    sweep()
    state = progress(job.pk)
    assert (state["status"], state["stages"][0]["succeeded"]) == ("SUCCESS", ITEMS)
    assert state["stages"][0]["metrics"] == {"images": ITEMS}
    assert audit(job.pk)["ok"], audit(job.pk)
    assert Event.objects.filter(kind="finished").count() == 1


def test_a_report_while_the_database_is_away_says_so_and_may_be_repeated(
    durable_postgres: PostgresServer,
) -> None:
    job = submit("away", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    durable_postgres.stop("immediate")
    with pytest.raises(Unavailable, match="try again later"):
        report(lease.token, [success(0)])
    with pytest.raises(Unavailable):
        claim("p")
    durable_postgres.start()
    assert _receipt(lease) == "counted"
    assert progress(job.pk)["status"] == "SUCCESS"


def _receipt(lease: GrantedLease) -> Any:
    return report(lease.token, [success(0)])[0].receipt
