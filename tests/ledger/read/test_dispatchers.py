"""A dispatcher that can't reach its broker is named to those who ask why nothing happens."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.ledger.read.dispatchers import DOWN_SINCE
from joblot.ledger.read.why import why
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import submit
from joblot.models import NO_OWNER, Job
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys

SINCE = "2030-01-01T00:00:00+00:00"


@pytest.fixture
def job(ledger_db: str, clock: Clock) -> Job:
    return submit("waits", keys(3), pipeline="p")


def tells(about: dict[str, Any], *pipelines: str) -> None:
    workers.seen(NO_OWNER, "dispatch-1", {"dispatcher": "jetstream", **about})
    workers.asked(None, "dispatch-1", pipelines or ("p",), workers.ANY_JOB)


def reason(job: Job) -> dict[str, Any] | None:
    found = why(job.pk)["reasons"]
    return next((one for one in found if one["code"] == "broker_down"), None)


def test_it_is_named_with_the_items_that_it_does_not_send(job: Job) -> None:
    assert reason(job) is None
    tells({DOWN_SINCE: SINCE})
    found = reason(job)
    assert found is not None
    assert (found["count"], found["since"]) == (3, SINCE)
    assert found["text"] == (
        "3 items are not sent to workers over NATS: dispatcher 'dispatch-1' can't reach it; "
        "workers that use HTTP go on"
    )


def test_not_once_it_reaches_it_again(job: Job) -> None:
    tells({DOWN_SINCE: SINCE})
    tells({})
    assert reason(job) is None


def test_not_for_what_others_serve_or_work_on(job: Job) -> None:
    tells({DOWN_SINCE: SINCE}, "q")
    assert reason(job) is None
    tells({DOWN_SINCE: SINCE}, "p", "q")
    worker.lease()
    assert reason(job) is None


def test_not_of_one_that_is_gone(job: Job, clock: Clock) -> None:
    tells({DOWN_SINCE: SINCE})
    clock.forward(3_600)
    assert reason(job) is None
