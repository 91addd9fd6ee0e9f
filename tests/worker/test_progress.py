"""Progress inside an item: what a function says of it is sent with renewals, and shown."""

from __future__ import annotations

import time
from typing import Any

import pytest

from joblot.config import limits
from joblot.ledger.lease import renew
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.item import item
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import submit
from joblot.wire import CallProgress, ClaimedItem, GrantedLease
from joblot.worker import batched, each, progress
from joblot.worker.held import Held
from joblot.worker.pulse import Pulse
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import keys, succeed
from tests.worker.conftest import Working, ended
from tests.worker.renewals import LEASE_SECONDS, Renewals


def said(job_id: int) -> str:
    (text,) = (one["text"] for one in why(job_id)["reasons"] if one["code"] == "in_flight")
    return str(text)


def test_what_a_function_says_is_shown_after_the_next_renewal(
    ledger_db: str, working: Working, clock: Clock
):
    job = submit("j", ["slow"], pipeline="p", policy={"lease_seconds": LEASE_SECONDS})
    renewals, seen = Renewals(clock), []

    def work(key: str) -> str:
        progress(0.1, "page 1 of 10")
        progress(0.3, "page 3 of 10")
        renewals.wait(2)
        seen.append(item(job.pk, 0)["stages"][0].get("progress"))
        seen.append(said(job.pk))
        return key

    with working(each(work), client=renewals):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert seen[0] == {"share": 0.3, "text": "page 3 of 10"}
    assert "; item 0 is at 30 % (page 3 of 10)" in seen[1]


def test_a_batch_says_it_of_all_its_items(ledger_db: str, working: Working, clock: Clock):
    job = submit("j", keys(2), pipeline="p", policy={"lease_seconds": LEASE_SECONDS})
    renewals, seen = Renewals(clock), []

    def work(given: list[str]) -> list[str]:
        progress(text="reading")
        renewals.wait(2)
        seen.append([item(job.pk, n)["stages"][0].get("progress") for n in range(2)])
        return given

    with working(batched(work), client=renewals, batch_items=2):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert seen[0] in ([{"share": None, "text": "reading"}] * 2, [seen[0][0], None])


def test_it_is_shown_until_its_item_is_settled(ledger_db: str) -> None:
    job = submit("j", keys(3), pipeline="p")
    lease = worker.lease()
    renew(lease.token, progress=CallProgress(0.5, "half", item=1))
    assert in_flight(job=job.pk)[0]["progress"] == {"share": 0.5, "text": "half", "item": 1}
    renew(lease.token)
    assert "item 1 is at 50 % (half)" in said(job.pk)
    assert "progress" not in item(job.pk, 0)["stages"][0]
    succeed(lease, 1)
    assert "item 1" not in said(job.pk)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"share": 1.0001}, {"share": 1.0, "text": ""}),
        ({"share": -1}, {"share": 0.0, "text": ""}),
        ({"share": float("nan")}, {"share": None, "text": ""}),
        (
            {"text": "x" * 5_000},
            {"share": None, "text": "x" * (limits().progress_chars_max - 1) + "…"},
        ),
        ({"text": "a\x00b\ud800"}, {"share": None, "text": "a\ufffdb?"}),
    ],
)
def test_it_is_bounded_and_can_be_stored(
    ledger_db: str, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    job = submit("j", keys(1), pipeline="p")
    renew(worker.lease().token, progress=CallProgress(**given))
    assert item(job.pk, 0)["stages"][0]["progress"] == kept


def test_it_counts_as_progress_for_the_limit_of_an_item() -> None:
    """Also for the supervisor, which watches from outside: an odd count is a call."""
    pulse = Pulse.made()
    held = Held(pulse=pulse)
    lease = GrantedLease("t", 1, 1, "s", "p", "", None, (ClaimedItem(0, "k", None, None, 1),))
    taken = held.take(lease)
    held.note_progress("t", CallProgress(0.1))
    assert (pulse.count(), held.call_seconds()) == (0, 0.0)  # between calls
    held.begin_call()
    began, counted = time.monotonic(), pulse.count()
    held.note_progress("t", CallProgress(0.2))
    assert held.call_seconds() <= time.monotonic() - began
    assert (pulse.count() - counted, pulse.count() % 2) == (2, 1)
    assert taken.progress == CallProgress(0.2)
    pulse.close()


def test_outside_a_worker_it_does_nothing() -> None:
    progress(0.5, "half")
