"""Webhooks over HTTP: an admin token creates, lists and ends them, and resends deliveries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.ledger.maintain.outbox import fan_out
from joblot.ledger.submit.submit import submit
from joblot.models import Webhook
from tests.api.conftest import Api

URL = "https://hooks.test/joblot"


def told(project: str = "default") -> None:
    """A job that has ended, with pending deliveries."""
    submit("night", [], pipeline="p", project=project)
    fan_out()


def test_a_webhook_is_made_listed_and_ended(admin: Api) -> None:
    made = admin.post("webhooks", {"url": URL, "kinds": ["finished"], "project": "alps"})
    assert admin.status == 201
    secret = made.pop("secret")
    assert secret == Webhook.objects.get().secret
    assert admin.get("webhooks") == {"webhooks": [made]}
    ended = admin.delete(f"webhooks/{made['id']}")
    assert (admin.status, ended["ended_at"] is not None) == (200, True)
    assert admin.get("webhooks") == {"webhooks": [ended]}


def test_without_kinds_it_hears_of_all(admin: Api) -> None:
    assert admin.post("webhooks", {"url": URL})["kinds"] == [
        "finished",
        "amended",
        "failing",
        "halted",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://127.0.0.1/"},
        {"url": "ftp://hooks.test/"},
        {"url": URL, "kinds": []},
        {"url": URL, "kinds": ["ended"]},
        {"url": URL, "project": ""},
        {"url": URL, "secret": "mine"},
    ],
)
def test_what_a_webhook_can_not_be_is_refused(admin: Api, body: dict[str, Any]) -> None:
    problem = admin.post("webhooks", body)
    assert (admin.status, problem["code"]) == (422, "invalid_input")
    assert not Webhook.objects.exists()


def test_deliveries_are_listed_by_pages_and_sent_again(admin: Api) -> None:
    made = admin.post("webhooks", {"url": URL})
    for _ in range(3):
        told()
    path = f"webhooks/{made['id']}/deliveries"
    page = admin.get(path, {"limit": 2})
    rest = admin.get(path, {"limit": 2, "before": page["next"]})
    assert (len(page["deliveries"]), len(rest["deliveries"]), rest["next"]) == (2, 1, None)
    assert {one["state"] for one in page["deliveries"]} == {"pending"}
    assert admin.get(path, {"state": "delivered"})["deliveries"] == []
    first = page["deliveries"][0]
    again = admin.post(f"webhooks/deliveries/{first['id']}/resend")
    assert (admin.status, again["message_id"]) == (202, first["message_id"])
    admin.delete(f"webhooks/{made['id']}")
    problem = admin.post(f"webhooks/deliveries/{first['id']}/resend")
    assert (admin.status, problem["code"]) == (409, "refused")


ASKED = ["GET webhooks", "POST webhooks", "DELETE webhooks/{id}", "GET webhooks/{id}/deliveries"]
ASKED += ["POST webhooks/deliveries/{delivery}/resend"]


def ask(api: Api, what: str, **ids: int) -> int:
    method, path = what.split()
    path = path.format(**ids)
    if method == "GET":
        api.get(path)
    elif method == "DELETE":
        api.delete(path)
    else:
        api.post(path, {"url": URL} if path == "webhooks" else None)
    return api.status


@pytest.mark.parametrize("what", ASKED)
def test_only_an_administrator_may(admin: Api, api: Callable[..., Api], what: str) -> None:
    ids = {"id": admin.post("webhooks", {"url": URL})["id"], "delivery": 1}
    assert ask(api("submit", "work", "read"), what, **ids) == 403


def test_an_administrator_of_some_projects_has_the_webhooks_of_these(
    admin: Api, api: Callable[..., Api]
) -> None:
    alps = api("admin", projects=["alps"])
    mine = alps.post("webhooks", {"url": URL})
    assert mine["project"] == "alps"
    alps.post("webhooks", {"url": URL, "project": "coast"})
    assert alps.status == 403
    everything = admin.post("webhooks", {"url": URL})
    told("coast")
    assert [one["id"] for one in alps.get("webhooks")["webhooks"]] == [mine["id"]]
    assert alps.get(f"webhooks/{mine['id']}/deliveries")["deliveries"] == []
    (delivery,) = admin.get(f"webhooks/{everything['id']}/deliveries")["deliveries"]
    for what in ASKED[2:]:
        assert ask(alps, what, id=everything["id"], delivery=delivery["id"]) == 404
    assert Webhook.objects.filter(ended_at=None).count() == 2
