"""The page of webhooks, from which a delivery is sent again."""

from __future__ import annotations

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.submit.submit import submit
from joblot.models import WebhookDelivery
from joblot.webhooks.delivery import deliveries
from joblot.webhooks.subscriptions import subscribe
from tests.ledger.worker import drain, keys
from tests.web.browser import check_page
from tests.web.people import person


@pytest.fixture
def given_up(ledger_db: str) -> int:
    """A delivery that was given up."""
    _, webhook = subscribe("https://example.com/hook", ["finished"])
    submit("tiles", keys(1), pipeline="p")
    drain("p")
    sweep()
    (made,) = deliveries(webhook["id"])
    WebhookDelivery.objects.filter(pk=made["id"]).update(
        tries=25, next_try_at=None, error="refused the connection"
    )
    return int(made["id"])


def state(delivery_id: int) -> str:
    row = WebhookDelivery.objects.get(pk=delivery_id)
    return str(next(one["state"] for one in deliveries(row.webhook_id) if one["id"] == row.pk))


def test_an_administrator_sends_a_delivery_again(given_up: int) -> None:
    ana = person("ana", "operator")
    listed = ana.get("/webhooks").content.decode()
    assert "https://example.com/hook" in listed
    assert "refused the connection" in listed
    assert state(given_up) == "given_up"
    where = f"/webhooks/deliveries/{given_up}/resend"
    assert f"Send delivery {given_up} again?" in ana.get(where).content.decode()
    assert state(given_up) == "given_up"
    answer = ana.post(where, follow=True)
    assert answer.redirect_chain == [("/webhooks", 302)]
    assert f"Delivery {given_up} is sent again." in answer.content.decode()
    assert state(given_up) == "pending"


@pytest.mark.parametrize("role", ["reader", "operator"])
def test_nobody_else_sees_them(given_up: int, role: str) -> None:
    """Webhooks are an administrator's: their addresses may hold secrets."""
    client: Client = person("eve", role, "a project")
    for where in ("/webhooks", f"/webhooks/deliveries/{given_up}/resend"):
        for answer in (client.get(where), client.post(where)):
            assert answer.status_code in {403, 405}
            assert "example.com" not in answer.content.decode()
    assert state(given_up) == "given_up"


def test_a_delivery_that_does_not_exist(ledger_db: str) -> None:
    assert person("ana", "operator").get("/webhooks/deliveries/9/resend").status_code == 404


def test_the_page_is_accessible(page: Page, sqlite_only: str, given_up: int) -> None:
    page.goto("/webhooks")
    check_page(page)
    page.get_by_role("link", name=f"Resend delivery {given_up}").click()
    expect(page.get_by_role("dialog")).to_contain_text("Send delivery")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("is sent again.")).to_be_visible()
