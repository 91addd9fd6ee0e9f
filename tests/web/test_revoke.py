"""Revoking a worker from the pages."""

from __future__ import annotations

import pytest

from joblot.ledger.claim.claim import claim
from joblot.ledger.read.workers import workers
from joblot.ledger.rows.workers import seen
from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.web.people import person


@pytest.fixture
def worker(ledger_db: str) -> str:
    """A worker of owner 0 that holds two items; its address to be revoked."""
    submit("tiles", keys(4), pipeline="p")
    seen(0, "gpu-7")
    claim("p", 2, worker="gpu-7", owner=0)
    return "/workers/revoke?owner=0&instance=gpu-7"


def test_it_asks_with_what_the_worker_holds_and_gives_it_back(worker: str) -> None:
    ana = person("ana", "operator")
    asked = ana.get(worker).content.decode()
    assert "Revoke gpu-7?" in asked
    assert "It holds 2 items in 1 lease" in asked
    form = {"owner": "0", "instance": "gpu-7", "reason": "too hot"}
    answer = ana.post("/workers/revoke", form, follow=True)
    assert answer.redirect_chain == [("/workers", 302)]
    assert "Revoked gpu-7: it gave back 2 items." in answer.content.decode()
    (found,) = workers()
    assert found["revoked_at"]
    assert found["items"] == 0


def test_a_worker_that_was_never_seen(ledger_db: str) -> None:
    ana = person("ana", "operator")
    assert ana.get("/workers/revoke?owner=0&instance=x").status_code == 404
    assert ana.get("/workers/revoke?owner=x&instance=x").status_code == 422
    assert ana.post("/workers/revoke", {"owner": "0", "instance": "x"}).status_code == 404


def test_of_two_owners_only_the_named_one_loses_its_worker(ledger_db: str) -> None:
    """Two owners may use the same instance; only the one that is named is revoked."""
    seen(0, "gpu-7")
    seen(5, "gpu-7")
    person("ana", "operator").post("/workers/revoke", {"owner": "5", "instance": "gpu-7"})
    assert {one["owner"]: bool(one["revoked_at"]) for one in workers()} == {0: False, 5: True}
