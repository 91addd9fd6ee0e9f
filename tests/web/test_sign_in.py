"""Signing in with a name and a password."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

from joblot.errors import InvalidInput, NotFound
from joblot.web import throttle
from joblot.web.users import add_user, change_password, change_role, remove_user, users
from tests.web.people import PASSWORD, browser_like, person

pytestmark = pytest.mark.usefixtures("ledger_db")


@pytest.fixture(autouse=True)
def forgiven() -> Iterator[None]:
    throttle._tries.clear()
    yield
    throttle._tries.clear()


@pytest.fixture
def ana(ledger_db: str) -> None:
    add_user("ana", PASSWORD, projects=None, role="reader")


def sign_in(client: Client, name: str = "ana", password: str = PASSWORD, to: str = "/jobs") -> int:
    answer = client.post("/sign-in", {"name": name, "password": password, "next": to})
    return answer.status_code


def test_the_right_password_leads_on(ana: None) -> None:
    client = browser_like()
    answer = client.post("/sign-in", {"name": "ana", "password": PASSWORD, "next": "/jobs?a=b"})
    assert (answer.status_code, answer["Location"]) == (302, "/jobs?a=b")
    assert client.get("/jobs").status_code == 200


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "javascript:x", ""]
)
def test_it_leads_to_no_other_site(ana: None, to: str) -> None:
    answer = browser_like().post("/sign-in", {"name": "ana", "password": PASSWORD, "next": to})
    assert answer["Location"] == "/jobs"


def test_a_wrong_name_and_a_wrong_password_look_the_same(ana: None) -> None:
    answers = [
        browser_like().post("/sign-in", {"name": name, "password": "wrong"})
        for name in ("ana", "eve")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert all("No user has this name and password." in a.content.decode() for a in answers)


def test_guessing_is_slowed_down_for_the_name_alone(ana: None) -> None:
    add_user("bob", PASSWORD, projects=None, role="reader")
    client = browser_like()
    tries = [sign_in(client, password="wrong") for _ in range(throttle.TRIES_PER_NAME_MAX)]
    assert set(tries) == {401}
    refused = client.post("/sign-in", {"name": "ana", "password": PASSWORD})
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= throttle.WINDOW_SECONDS
    assert sign_in(client, "bob") == 302


def test_guessing_many_names_is_slowed_down_too(ana: None) -> None:
    client = browser_like()
    tries = [sign_in(client, f"eve{n}", "wrong") for n in range(throttle.TRIES_MAX)]
    assert set(tries) == {401}
    assert sign_in(client) == 429


def test_a_successful_sign_in_restores_all_tries(ana: None) -> None:
    client = browser_like()
    for _ in range(3):
        for _ in range(throttle.TRIES_PER_NAME_MAX - 1):
            sign_in(client, password="wrong")
        assert sign_in(client) == 302


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/preferences"])
def test_a_form_of_another_site_is_refused(ana: None, path: str) -> None:
    client = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
    answer = client.post(path, {"name": "ana", "password": PASSWORD})
    assert answer.status_code == 403
    assert "reload the page, and send it again" in answer.content.decode()


def test_sessions_that_have_expired_are_removed(ana: None) -> None:
    for days in (-1, 1):
        until = datetime.now(UTC) + timedelta(days=days)
        Session.objects.create(session_key=f"k{days}", session_data="", expire_date=until)
    sign_in(browser_like())
    kept = set(Session.objects.values_list("session_key", flat=True))
    assert len(kept) == 2
    assert "k1" in kept


def test_signing_out_ends_the_session(ana: None) -> None:
    client = browser_like()
    sign_in(client)
    session = client.cookies["sessionid"].value
    client.post("/sign-out")
    client.cookies["sessionid"] = session
    assert client.get("/jobs").status_code == 302


@pytest.mark.parametrize("change", ["remove", "password", "role"])
def test_what_is_changed_counts_from_the_next_request(change: str) -> None:
    client = person("ana", "reader", "a")
    assert client.get("/jobs").status_code == 200
    if change == "remove":
        remove_user("ana")
    elif change == "password":
        change_password("ana", "another 83 drum")
    else:
        change_role("ana", projects=["a"], role=None)
    assert client.get("/jobs").status_code == (403 if change == "role" else 302)


def test_a_user_exists_once_and_has_a_password_that_is_hard_to_guess(ana: None) -> None:
    with pytest.raises(InvalidInput, match="user 'ana' exists"):
        add_user("ana", PASSWORD, projects=None, role="reader")
    with pytest.raises(InvalidInput, match="role: expected reader or operator, got 'king'"):
        add_user("bob", PASSWORD, projects=None, role="king")
    assert [user["name"] for user in users()] == ["ana"]
    assert not get_user_model().objects.filter(username="bob").exists()
    with pytest.raises(NotFound, match="user 'eve' does not exist"):
        remove_user("eve")


def test_pages_are_not_stored_and_have_strict_headers(ana: None) -> None:
    answer = browser_like().get("/sign-in")
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
