"""The pages in a Django project: under a prefix, with its middleware, users and sign-in page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client

from joblot.ledger.read.listing import listing
from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.web.people import browser_like

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


@pytest.fixture(params=["its own middleware", "none"])
def project(request: pytest.FixtureRequest, ledger_db: str, settings: Any) -> Any:
    settings.ROOT_URLCONF = "tests.web.project_urls"
    settings.MIDDLEWARE = MIDDLEWARE if request.param != "none" else []
    settings.LOGIN_URL = "/nowhere"
    return settings


@pytest.fixture
def boss(project: Any) -> Client:
    client = browser_like()
    client.force_login(get_user_model().objects.create_superuser("boss"))
    return client


def test_every_link_and_file_is_below_the_prefix(boss: Client) -> None:
    job = submit("tiles", keys(2), pipeline="p")
    for path in ("/counts/", "/counts/jobs", f"/counts/jobs/{job.pk}"):
        content = boss.get(path).content.decode()
        found = re.findall(
            r'(?<![-\w])(?:href|src|action|data-root|data-counts)="([^"#]+)"', content
        )
        assert len(found) > 5
        assert [one for one in found if not one.startswith("/counts/")] == []
        for asset in {one for one in found if "/assets/" in one}:
            assert boss.get(asset).status_code == 200


def test_the_api_is_there_too(boss: Client) -> None:
    assert boss.get("/counts/readyz").status_code == 200
    assert boss.get("/counts/api/v1/jobs").status_code == 401  # a session is no token


def test_a_superuser_may_do_everything(boss: Client) -> None:
    submit("tiles", keys(2), pipeline="p", project="any")
    assert "tiles" in boss.get("/counts/jobs").content.decode()


def test_people_are_sent_to_the_projects_own_page(project: Any) -> None:
    assert browser_like().get("/counts/jobs")["Location"] == (
        "/counts/sign-in?next=%2Fcounts%2Fjobs"
    )
    for own in ("/members/sign-in", "members"):
        project.LOGIN_URL = own
        assert browser_like().get("/counts/jobs")["Location"] == (
            "/members/sign-in?next=%2Fcounts%2Fjobs"
        )


def test_signing_in_with_joblots_form(project: Any) -> None:
    get_user_model().objects.create_superuser("boss", password="tin drum 47")
    client = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
    form = client.get("/counts/sign-in?next=/counts/jobs").content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert found
    given = {"csrfmiddlewaretoken": found[1], "name": "boss", "password": "tin drum 47"}
    answer = client.post("/counts/sign-in", {**given, "next": "/counts/jobs"})
    assert (answer.status_code, answer["Location"]) == (302, "/counts/jobs")
    assert client.get("/counts/jobs").status_code == 200
    assert client.get("/counts/jobs")["Cache-Control"] == "no-store"


def test_the_projects_transaction_is_not_around_a_page(
    boss: Client, ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """joblot's verbs commit themselves, which they can't inside a transaction."""
    seen: list[bool] = []

    def noted(*args: Any, **given: Any) -> Any:
        seen.append(connections[ledger_db].in_atomic_block)
        return listing(*args, **given)

    monkeypatch.setitem(connections[ledger_db].settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr("joblot.web.jobs.listing", noted)
    assert boss.get("/counts/jobs").status_code == 200
    assert seen == [False]
