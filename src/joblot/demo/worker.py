"""A worker process of the demo: a rough worker that may also be killed or delayed."""

from __future__ import annotations

from typing import Any

from joblot.demo import digits, hooks
from joblot.testing.crew.child import Parent
from joblot.testing.crew.rough import CLAIM_ITEMS, RoughWorker
from joblot.wire import ClaimedItem, GrantedLease, Result, failure, success


class Worker(RoughWorker):
    def __init__(self, task: dict[str, Any], parent: Parent) -> None:
        super().__init__(task, parent, HANDLERS)
        self.to_hold: bool = task["holds"]  # hold the first full lease until the fault happens

    def serve(self, lease: GrantedLease) -> None:
        if not (self.to_hold and len(lease.items) == CLAIM_ITEMS):
            super().serve(lease)
            return
        results = self.results(lease)
        self.hold(lease)
        self.outbox += self.posts(lease, results)
        self.send(held_back=0)

    def hold(self, lease: GrantedLease) -> None:
        """Hold only this lease until the parent kills this process or calls it back."""
        self.to_hold = False
        self.send(held_back=0)
        self.parent.send(holding=lease.token, items=len(lease.items))
        self.parent.wait()


def _classify(item: ClaimedItem) -> Result:
    pixels = item.payload["pixels"]
    try:
        seen = digits.classify(pixels)
    except ValueError as error:
        return failure(item.id, error)
    return success(item.id, {"digit": seen}, {"ink": sum(pixels)})


def _save(item: ClaimedItem) -> Result:
    """Pass the previous stage's output to the hook, which saves it."""
    return success(item.id, item.input)


HANDLERS = {hooks.CLASSIFY: _classify, hooks.SAVE: _save}


def main(task: dict[str, Any], parent: Parent) -> None:
    hooks.register(lost_key=task["lost_key"])
    digits.classify(digits.load().images[0])  # train before work begins
    parent.send(ready=True)
    if word := parent.wait():
        Worker({**task, **word}, parent).work()
