"""A stored value that is unreadable fails its own item at the claim, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from joblot.ledger.claim.claim import claim
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.rows.outputs import storage
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease, Outcome
from joblot.states import LeaseState
from tests.hostile import nested
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, keys, status, succeed

DEEP = [101, 600, 990]  # SQLite stores at most 1,000
ITEMS = 40  # in one range


def write(alias: str, table: str, column: str, text: str, **where: int) -> None:
    """Write the value as another program would, or joblot under a higher limit."""
    condition = " AND ".join(f"{name} = %s" for name in where)
    cast = "::jsonb" if connections[alias].vendor == "postgresql" else ""
    version = ", version = version + 1" if table == "joblot_job" else ""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {column} = %s{cast}{version} WHERE {condition}",
            [text, *where.values()],
        )


def poisoned(alias: str, *numbers: int, levels: int = 600, **more: Any) -> Job:
    job = submit("j", [{"key": f"k{n}", "payload": n} for n in range(ITEMS)], **more)
    for number in numbers:
        write(alias, "joblot_item", "payload", nested(levels), job_id=job.pk, number=number)
    return job


@pytest.mark.parametrize("levels", DEEP)
def test_a_payload_fails_its_item_and_the_others_are_served(ledger_db: str, levels: int) -> None:
    job = poisoned(ledger_db, 3, levels=levels, pipeline="p")
    lease = worker.lease(limit=ITEMS)
    assert {item.id: item.payload for item in lease.items} == {n: n for n in range(ITEMS) if n != 3}
    json.dumps(lease.as_json())
    assert counts(job) == {"failed": 1}
    succeed(lease)
    assert status(job) == "COMPLETED_WITH_ERRORS"
    (failed,) = items(job.pk, state="failed")
    assert (failed["id"], failed["outcomes"][0]["error"]["type"]) == (3, "Unreadable")
    assert "payload" in failed["outcomes"][0]["error"]["message"]


def test_deeper_than_sqlite_keeps(postgres_only: str) -> None:
    job = poisoned(postgres_only, 0, 1, levels=5_000, pipeline="p")
    assert len(worker.lease(limit=ITEMS).items) == ITEMS - 2
    assert counts(job) == {"failed": 2}
    assert len(items(job.pk)) == ITEMS


def test_a_lease_of_which_nothing_can_be_read_is_not_handed_out(ledger_db: str) -> None:
    """The claim continues with the next items, in the same job and in others."""
    job = poisoned(ledger_db, *range(4), pipeline="p")
    lease = worker.lease(limit=2)
    assert worker.numbers(lease) == [4, 5]
    assert counts(job) == {"failed": 4}
    assert Lease.objects.filter(state=LeaseState.LIVE).count() == 1


def test_an_input_fails_its_item_in_its_stage(ledger_db: str) -> None:
    job = submit("j", keys(3), stages=TWO_STAGES)
    succeed(worker.lease("p"))
    write(ledger_db, "joblot_outcome", "output", nested(600), job_id=job.pk, stage=0, number=1)
    assert worker.numbers(worker.lease("q")) == [0, 2]
    assert counts(job, 1) == {"failed": 1}


def test_an_output_whose_file_is_gone_fails_its_item(
    ledger_db: str, configure: Any, tmp_path: Any
) -> None:
    configure(output_bytes_inline_max=10)
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        job = submit("j", keys(2), stages=TWO_STAGES)
        lease = worker.lease("p")
        worker.receipts(lease, {"item": 0, "outcome": "succeeded", "output": "x" * 20})
        worker.receipts(lease, {"item": 1, "outcome": "succeeded", "output": "y" * 20})
        storage().delete(str(Outcome.objects.get(number=0).output_ref))
        assert worker.numbers(worker.lease("q")) == [1]
    assert counts(job, 1) == {"failed": 1}


def test_the_config_of_a_job_fails_its_items_and_no_other_job(ledger_db: str) -> None:
    bad = submit("bad", keys(2), pipeline="p", config={"a": 1})
    good = submit("good", keys(2), pipeline="p")
    write(ledger_db, "joblot_job", "config", nested(600), id=bad.pk)
    assert worker.lease().job == good.pk
    assert counts(bad) == {"failed": 2}
    assert progress(bad.pk)["status"] == "FAILURE"


def test_a_claim_asked_for_again_gives_the_same_lease_without_them(ledger_db: str) -> None:
    poisoned(ledger_db, 1, pipeline="p")
    first = claim("p", 3, idempotency_key="k").leases[0]
    again = claim("p", 3, idempotency_key="k").leases[0]
    assert again.token == first.token
    assert worker.numbers(again) == worker.numbers(first) == [0, 2]
