"""Revoking and restoring a worker from the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from joblot.errors import WorkerRevoked
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.workers import workers
from joblot.ledger.rows.workers import seen
from joblot.ledger.submit.submit import submit
from joblot.models import WorkerInstance
from tests.ledger.worker import keys
from tests.web.browser import check_page
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


def test_a_revoked_worker_is_restored_and_claims_again(worker: str) -> None:
    ana = person("ana", "operator")
    where = "/workers/restore?owner=0&instance=gpu-7"
    assert where.replace("&", "&amp;") not in ana.get("/workers").content.decode()
    ana.post("/workers/revoke", {"owner": "0", "instance": "gpu-7"})
    assert where.replace("&", "&amp;") in ana.get("/workers").content.decode()
    with pytest.raises(WorkerRevoked):
        claim("p", 2, worker="gpu-7", owner=0)
    assert "Restore gpu-7?" in ana.get(where).content.decode()
    form = {"owner": "0", "instance": "gpu-7", "reason": "cooled down"}
    answer = ana.post("/workers/restore", form, follow=True)
    assert answer.redirect_chain == [("/workers", 302)]
    assert "Restored gpu-7: it may claim and report again." in answer.content.decode()
    assert claim("p", 2, worker="gpu-7", owner=0).leases


def test_a_revoked_worker_that_is_long_offline_can_be_restored(worker: str, ledger_db: str) -> None:
    ana = person("ana", "operator")
    ana.post("/workers/revoke", {"owner": "0", "instance": "gpu-7"})
    long_ago = timezone.now() - timedelta(hours=3)
    WorkerInstance.ledger.using(ledger_db).update(last_seen_at=long_ago)
    page = ana.get("/workers").content.decode()
    assert "1 revoked and offline" in page
    assert "/workers/restore?owner=0&amp;instance=gpu-7" in page


def test_in_a_browser_a_dialog_asks(page: Page, worker: str) -> None:
    page.goto("/workers")
    page.get_by_role("link", name="Revoke gpu-7").click()
    page.get_by_role("button", name="Revoke the worker").click()
    expect(page.get_by_text("it gave back 2 items")).to_be_visible()
    page.get_by_role("link", name="Restore gpu-7").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("link", name="Back")).to_be_focused()
    dialog.get_by_role("button", name="Restore the worker").click()
    expect(page.get_by_text("may claim and report again")).to_be_visible()
    assert [one["revoked_at"] for one in workers()] == [None]
    check_page(page)
