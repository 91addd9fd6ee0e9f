"""Dead workers: what they held, and how many die in a row without any progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joblot.cli import verbs
from joblot.cli.plan import Plan
from joblot.worker.printed import Keep
from joblot.worker.supervisor import Died

LAST_OUTPUT = "the last output of the process that has ended with this item"
FRUITLESS_DEATHS_MAX = 3  # consecutive deaths of workers that held no item


@dataclass(slots=True)
class DeathsInARow:
    """Consecutive deaths of workers, without progress of the job or an item to blame."""

    count: int = 0
    _settled: int = -1  # of the job's items, at the last death

    @property
    def too_many(self) -> bool:
        return self.count > FRUITLESS_DEATHS_MAX

    def note(self, settled: int, *, fruitful: bool) -> None:
        """Another worker has died; `fruitful` if it held an item."""
        progressed, self._settled = settled > self._settled, settled
        self.count = 0 if fruitful or progressed else self.count + 1


def end_lease(lease: dict[str, Any], died: Died, plan: Plan, *, worked_on: bool) -> None:
    """Only the lease worked on can have killed the worker; older ones only await receipts.

    If the item was alone, the end of what the process has written is kept with it: a crash in C
    code says there what went wrong.
    """
    if died.process.asked or died.process.leaves or not worked_on:
        verbs.release(lease["token"])
        return
    cause = f"its worker died ({died.how})"
    if lease["expiries"]:
        did = "froze" if died.frozen else "killed"
        cause = f"poison: {did} its worker {lease['expiries'] + 1} times ({died.how})"
    verbs.expire(lease["token"], cause)
    keeps = plan.keep_output != Keep.NONE and lease["item"] is not None
    if keeps and (said := died.process.last_output):
        text = f"{LAST_OUTPUT} ({died.how}):\n{said}"
        verbs.keep_printed(lease["token"], [(lease["item"], text)])
