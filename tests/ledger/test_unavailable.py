"""Wherever the connection drops, a verb says `Unavailable`, and may be called again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import Unavailable
from joblot.ledger import lifecycle
from joblot.ledger.audit import audit
from joblot.ledger.events import events
from joblot.ledger.items import items
from joblot.ledger.leases import expire, release, renew
from joblot.ledger.progress import progress
from joblot.ledger.repair import repair
from joblot.ledger.settle import report
from joblot.ledger.submit import add_items, seal, submit
from joblot.ledger.sweep import sweep
from joblot.ledger.why import why
from joblot.models import Job
from joblot.testing.simulator.trouble import Kind, Trouble, befalling
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import keys

STATEMENTS_MAX = 200

Verb = Callable[[Job, str], Any]

# On a job of four items that is open, with a lease on two of them.
VERBS: dict[str, Verb] = {
    "submit": lambda job, token: submit("another", keys(2), pipeline="q", idempotency_key="one"),
    "add_items": lambda job, token: add_items(job.pk, keys(5)),
    "seal": lambda job, token: seal(job.pk),
    "start": lambda job, token: lifecycle.start(job.pk),
    "pause": lambda job, token: lifecycle.pause(job.pk),
    "resume": lambda job, token: lifecycle.resume(job.pk),
    "cancel": lambda job, token: lifecycle.cancel(job.pk, grace_seconds=0),
    "claim": lambda job, token: worker.nothing(idempotency_key="claim"),
    "report": lambda job, token: report(token, [success(0), failure(1, "Bad", retryable=True)]),
    "renew": lambda job, token: renew(token),
    "release": lambda job, token: release(token),
    "expire": lambda job, token: expire(token),
    "sweep": lambda job, token: sweep(),
    "progress": lambda job, token: progress(job.pk),
    "items": lambda job, token: items(job.pk),
    "events": lambda job, token: events(job.pk),
    "why": lambda job, token: why(job.pk),
    "audit": lambda job, token: audit(job.pk),
    "repair": lambda job, token: repair(job.pk),
}


def cut_everywhere(verb: Callable[[], Any]) -> int:
    """Call it again and again, each time cut one statement later, until it comes through."""
    for statement in range(STATEMENTS_MAX):
        with befalling(Trouble(Kind.CUT, statement)) as struck:
            try:
                verb()
            except Unavailable:
                assert struck.yes
            else:
                assert not struck.yes, "it was cut, and did not say so"
                return statement
    raise AssertionError(f"it has more than {STATEMENTS_MAX} statements")


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_that_is_cut_says_so(ledger_db: str, name: str) -> None:
    job = submit("cut", keys(4), pipeline="p", seal=False)
    lease = worker.lease(limit=2)
    assert cut_everywhere(lambda: VERBS[name](job, lease.token)) > 0


def test_a_retry_and_a_delete_that_are_cut_say_so(ledger_db: str) -> None:
    job = submit("cut", keys(4), pipeline="p")
    worker.fail(worker.lease())
    with befalling(Trouble(Kind.CUT)), pytest.raises(Unavailable):
        lifecycle.retry(job.pk)
    with befalling(Trouble(Kind.CUT)), pytest.raises(Unavailable):
        lifecycle.delete(job.pk)
    lifecycle.delete(job.pk)
    assert cut_everywhere(sweep) > 0  # with rows to purge
