"""Leases that nobody expires: `doctor` and `/healthz` say how many, since when and what to do."""

from __future__ import annotations

from typing import Any

from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.health import health
from joblot.ledger.read.pulse import overdue
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys


def leases_checked() -> dict[str, Any]:
    (found,) = (check for check in health() if check["check"] == "leases")
    return found


def test_leases_that_nobody_expires_are_counted_with_their_items(
    ledger_db: str, clock: Clock
) -> None:
    for pipeline, items in (("p", 3), ("q", 4)):
        submit("overdue", keys(items), pipeline=pipeline, policy={"lease_seconds": 60})
        worker.lease(pipeline)
        clock.forward(10)
    fan_out()
    clock.forward(60)
    assert (leases_checked()["ok"], overdue()) == (True, [])
    clock.forward(3600)
    text = "7 items are held by 2 leases that expired, the first at 00:01 UTC"
    checked = leases_checked()
    assert (checked["ok"], checked["found"]) == (False, text)
    assert checked["advice"] == (
        "nothing returns their items to the queue: run `joblot serve`, or `joblot sweep --forever`"
    )
    assert overdue() == [
        (
            f"{text}, for more than 30 s; check that `joblot serve` or `joblot sweep --forever` "
            "runs, and what it logs"
        )
    ]
    sweep()
    assert (leases_checked()["ok"], overdue()) == (True, [])


def test_one_lease_is_no_plural(ledger_db: str, clock: Clock) -> None:
    submit("overdue", keys(1), pipeline="p", policy={"lease_seconds": 60})
    worker.lease()
    clock.forward(3600)
    assert leases_checked()["found"] == "1 item is held by a lease that expired at 00:01 UTC"
