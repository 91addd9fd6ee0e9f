"""A worker process of the demo: claims, works, reports, and suffers what it is told to suffer.

It reports as workers do on a bad day: results out of order, across leases, a fifth of them twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from joblot import claim, report
from joblot.demo import digits, hooks
from joblot.demo.child import Parent
from joblot.demo.record import Reported
from joblot.errors import Unavailable
from joblot.states import Receipt
from joblot.wire import ClaimedItem, ItemReceipt, Lease, Result, failure, success

CLAIM_ITEMS = 16
REPORT_ITEMS_MAX = 16
REPORTS_HELD_BACK = 3  # they are sent after later ones, in any order
IDLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Post:
    """Results to report through one lease; kept until each has its receipt."""

    lease: Lease
    results: Sequence[Result]


class Worker:
    def __init__(self, task: dict[str, Any], parent: Parent, job_id: int, items_total: int) -> None:
        self.parent = parent
        self.name: str = task["name"]
        self.to_hold: bool = task["holds"]  # the first full lease, until its fate comes
        self.job_id = job_id
        self.record = Path(task["record"])
        self.chance = Random(f"{task['seed']} {self.name}")
        self.twice = {
            stage["name"]: reported_twice(task["seed"], stage["name"], items_total)
            for stage in hooks.STAGES
        }
        self.outbox: list[Post] = []

    def work(self) -> None:
        """Until the parent hangs up."""
        while not self.parent.hung_up():
            if lease := self.claim():
                self.serve(lease)
            else:
                self.send(held_back=0)
                if self.parent.hung_up(IDLE_SECONDS):
                    break
        self.send(held_back=0)

    def claim(self) -> Lease | None:
        with suppress(Unavailable):
            for lease in claim(
                [hooks.CLASSIFY, hooks.SAVE], CLAIM_ITEMS, job=self.job_id, worker=self.name
            ).leases:
                return lease
        return None

    def serve(self, lease: Lease) -> None:
        results = [HANDLERS[lease.pipeline](item) for item in lease.items]
        hold = self.to_hold and len(lease.items) == CLAIM_ITEMS
        if hold:
            self.hold(lease)
        self.outbox += self.posts(lease, results)
        self.send(held_back=0 if hold else REPORTS_HELD_BACK)

    def hold(self, lease: Lease) -> None:
        """Hold this lease alone, until the parent kills this process or calls it back."""
        self.to_hold = False
        self.send(held_back=0)
        self.parent.tell(holding=lease.token, items=len(lease.items))
        self.parent.wait()

    def posts(self, lease: Lease, results: list[Result]) -> Iterator[Post]:
        """The results in small reports, in any order, and some of them once more."""
        twice = [result for result in results if result.item in self.twice[lease.stage]]
        for some in (results, twice):
            self.chance.shuffle(some)
            while some:
                size = self.chance.randint(1, REPORT_ITEMS_MAX)
                yield Post(lease, some[:size])
                del some[:size]

    def send(self, *, held_back: int) -> None:
        """Report in any order, until only so many reports are left."""
        self.chance.shuffle(self.outbox)
        while len(self.outbox) > held_back:
            post = self.outbox.pop()
            if again := self.send_one(post):
                self.outbox.insert(0, Post(post.lease, again))
                if self.parent.hung_up(IDLE_SECONDS):
                    return  # the database may be gone, too

    def send_one(self, post: Post) -> Sequence[Result]:
        """Report, and record the answer; returns what is to be reported again."""
        at = time.monotonic()
        try:
            receipts = report(post.lease.token, post.results)
        except Unavailable:
            return post.results
        with self.record.open("a", encoding="utf-8") as record:
            print(self.reported(post, at, receipts).as_line(), file=record)
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


def reported_twice(seed: int, stage: str, items_total: int) -> set[int]:
    """A fifth of the items, by number: whoever works them reports them twice."""
    return set(Random(f"{seed} {stage}").sample(range(items_total), items_total // 5))


def _classify(item: ClaimedItem) -> Result:
    pixels = item.payload["pixels"]
    try:
        seen = digits.classify(pixels)
    except ValueError as error:
        return failure(item.id, type(error).__name__, str(error))
    return success(item.id, {"digit": seen}, {"ink": sum(pixels)})


def _save(item: ClaimedItem) -> Result:
    """What the stage before has found goes on to the hook, which saves it."""
    return success(item.id, item.input)


HANDLERS = {hooks.CLASSIFY: _classify, hooks.SAVE: _save}


def main(task: dict[str, Any], parent: Parent) -> None:
    hooks.register(lost_key=task["lost_key"])
    digits.classify(digits.load().images[0])  # learn before the work begins
    parent.tell(ready=True)
    if word := parent.wait():
        Worker(task, parent, word["job"], word["items_total"]).work()
