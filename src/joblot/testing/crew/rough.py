"""A rough worker: it reports out of order and across leases, and a fifth of its results twice.

It records the answers, one line per report, so that its parent can compare them with the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from joblot import claim, report
from joblot.errors import Unavailable
from joblot.states import Receipt
from joblot.testing.crew.child import Parent
from joblot.testing.crew.record import Reported
from joblot.wire import ClaimedItem, GrantedLease, ItemReceipt, Result

CLAIM_ITEMS = 16
REPORT_ITEMS_MAX = 16
REPORTS_HELD_BACK = 3  # sent after later ones, in any order
IDLE_SECONDS = 0.05

Handler = Callable[[ClaimedItem], Result]


@dataclass(frozen=True, slots=True)
class Post:
    """Results to report through one lease; kept until each has its receipt."""

    lease: GrantedLease
    results: Sequence[Result]


class RoughWorker:
    """Serves one job. The task holds `name`, `seed`, `record` (a file), `job` and `items_total`."""

    def __init__(
        self, task: dict[str, Any], parent: Parent, handlers: Mapping[str, Handler]
    ) -> None:
        self.parent = parent
        self.name: str = task["name"]
        self.seed: int = task["seed"]
        self.job_id: int = task["job"]
        self.items_total: int = task["items_total"]
        self.handlers = handlers  # by pipeline
        self.record = Path(task["record"])
        self.chance = Random(f"{task['seed']} {self.name}")
        self.outbox: list[Post] = []

    def work(self) -> None:
        """Work until the parent hangs up."""
        while not self.parent.hung_up():
            if lease := self.claim():
                self.serve(lease)
            else:
                self.send(held_back=0)
                if self.parent.hung_up(IDLE_SECONDS):
                    break
        self.send(held_back=0)

    def claim(self) -> GrantedLease | None:
        with suppress(Unavailable):
            for lease in claim(
                self.handlers, CLAIM_ITEMS, job=self.job_id, worker=self.name
            ).leases:
                return lease
        return None

    def serve(self, lease: GrantedLease) -> None:
        self.outbox += self.posts(lease, self.results(lease))
        self.send(held_back=REPORTS_HELD_BACK)

    def results(self, lease: GrantedLease) -> list[Result]:
        return [self.handlers[lease.pipeline](item) for item in lease.items]

    def posts(self, lease: GrantedLease, results: list[Result]) -> Iterator[Post]:
        """Return the results in small reports, in any order, some of them twice."""
        again = reported_twice(self.seed, lease.stage, self.items_total)
        twice = [result for result in results if result.item in again]
        for some in (results, twice):
            self.chance.shuffle(some)
            while some:
                size = self.chance.randint(1, REPORT_ITEMS_MAX)
                yield Post(lease, some[:size])
                del some[:size]

    def send(self, *, held_back: int) -> None:
        """Report in any order, until only `held_back` reports are left."""
        self.chance.shuffle(self.outbox)
        while len(self.outbox) > held_back:
            post = self.outbox.pop()
            if again := self.send_one(post):
                self.outbox.insert(0, Post(post.lease, again))
                if self.parent.hung_up(IDLE_SECONDS):
                    return  # the database may be gone too

    def send_one(self, post: Post) -> Sequence[Result]:
        """Report, and record the answer; returns the results to report again."""
        at = time.monotonic()
        try:
            receipts = report(post.lease.token, post.results)
        except Unavailable:
            return post.results
        with self.record.open("a", encoding="utf-8") as record:
            record.write(f"{self.reported(post, at, receipts).as_line()}\n")
        answers = zip(post.results, receipts, strict=True)
        return [result for result, answer in answers if answer.receipt is Receipt.DEFERRED]

    def reported(self, post: Post, at: float, receipts: list[ItemReceipt]) -> Reported:
        return Reported(
            worker=self.name,
            at=at,
            lease=post.lease.token,
            stage=post.lease.stage,
            items=[result.item for result in post.results],
            outcomes=[result.outcome.value for result in post.results],
            receipts=[answer.receipt.value for answer in receipts],
        )


# Threads: a cache that at worst computes the same value twice.
@cache
def reported_twice(seed: int, stage: str, items_total: int) -> frozenset[int]:
    """A fifth of the items, by number: any worker reports them twice."""
    return frozenset(Random(f"{seed} {stage}").sample(range(items_total), items_total // 5))
