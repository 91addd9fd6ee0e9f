"""RP, ST: notifying external receivers, which may be slow, down, or notified twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connections

from joblot import faults
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.submit.submit import submit
from joblot.webhooks.sender import send_due
from joblot.webhooks.subscriptions import subscribe
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, status
from tests.polling import eventually
from tests.threads import Threads
from tests.webhooks.conftest import configure, finish, loopback_allowed, make_receiver
from tests.webhooks.receivers import Receiver

__all__ = ["configure", "loopback_allowed", "make_receiver"]


def test_RP11_nobody_is_waited_for_elsewhere_while_a_lock_is_held(
    ledger_db: str, make_receiver: Callable[..., Receiver], in_thread: Threads
) -> None:
    """While a receiver hangs, jobs are processed and finished, and no transaction is open."""
    receiver = make_receiver()
    subscribe(receiver.url)
    receiver.hold()
    finish()
    sending = in_thread(send_due)
    eventually(lambda: receiver.got)
    job = submit("meanwhile", keys(3), pipeline="q")
    worker.drain("q")
    assert status(job) == "SUCCESS"
    assert sweep().events_fanned_out > 0
    if ledger_db == "postgres":
        with connections[ledger_db].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND xact_start IS NOT NULL "
                "AND pid <> pg_backend_pid()"  # autovacuum has transactions too
            )
            assert cursor.fetchone() == (0,)
    assert not sending.done
    receiver.go_on()
    assert sending.result() == 2


def test_ST12_an_event_is_committed_before_it_is_delivered_and_may_be_delivered_again(
    ledger_db: str, make_receiver: Callable[..., Receiver], clock: Clock
) -> None:
    """The sender dies between the receiver's response and recording it."""
    receiver = make_receiver()
    subscribe(receiver.url)
    finish()

    def dies() -> None:
        raise SystemExit

    with faults.armed("webhook: answered, not recorded", dies), pytest.raises(SystemExit):
        send_due()
    clock.forward(60)
    assert send_due() == 1
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
