"""One project's user sees nothing of another's, at any address of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from joblot.ledger.claim.claim import claim
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.web import urls
from tests.web.people import browser_like, person

NAME, PROJECT, KEY, PIPELINE, WORKER = (f"hidden-{n}" for n in ("job", "of", "key", "pipe", "gpu"))
HIDDEN = (NAME, PROJECT, KEY, PIPELINE, WORKER)

# Addresses that name no job. A new one belongs into one of the two, or its route has `job_id`.
LISTS = {"home", "jobs", "job_counts", "snapshots", "workers"}  # only what a visitor may see
BULK = {f"{act}_jobs" for act in ("pause", "resume", "cancel", "retry")}  # of many jobs
ADMIN = {"revoke", "restore", "webhooks", "resend"}  # for administrators of all projects
OPEN = {"sign_in", "sign_out", "enter", "prefer", "asset"}  # show nothing of any job

OF_A_JOB = sorted({p.name or "" for p in urls.urlpatterns if "job_id" in p.pattern.converters})


@pytest.fixture
def hidden(ledger_db: str) -> int:
    """A job with an item in flight, in a project of its own; its items are 0 and 1."""
    job = submit(NAME, [{"key": KEY}, {"key": f"{KEY}-1"}], pipeline=PIPELINE, project=PROJECT)
    claim([PIPELINE], owner=1, limit=1)
    return int(job.pk)


def address(name: str, job_id: int) -> str:
    """The address of the page; other numbers than the job's are 1."""
    (pattern,) = {p.name: p for p in urls.urlpatterns if p.name == name}.values()
    given: dict[str, Any] = dict.fromkeys(pattern.pattern.converters, 1)
    return reverse(f"joblot_web:{name}", kwargs={**given, "job_id": job_id})


def test_every_address_is_covered() -> None:
    """A new one shows a job that it names, is a list, or is open to all: see above."""
    names = {pattern.name for pattern in _patterns()}
    assert names == {*OF_A_JOB, *LISTS, *BULK, *ADMIN, *OPEN}


def test_every_page_is_wrapped() -> None:
    """Only what is open to all does without somebody who is signed in."""
    is_open = {p.name for p in _patterns() if getattr(p.callback, "joblot_open", False)}
    assert is_open == OPEN


@pytest.mark.parametrize("name", OF_A_JOB)
def test_a_strangers_session_finds_no_job(hidden: int, name: str) -> None:
    stranger = person("eve", "operator", "another")
    asked = _ask(stranger, address(name, hidden))
    missing = _ask(stranger, address(name, hidden + 1))
    assert set(asked) <= {404, 405}
    assert 404 in asked
    assert asked == missing  # so that its existence stays hidden
    for answer in (stranger.get(address(name, hidden)), stranger.post(address(name, hidden))):
        _shows_nothing(answer)


@pytest.mark.parametrize("name", OF_A_JOB)
def test_a_member_finds_it(hidden: int, name: str) -> None:
    """So the refusals above are not for an address that leads nowhere."""
    member = person("ana", "operator", PROJECT)
    assert not set(_ask(member, address(name, hidden))) <= {403, 404, 405, 500}


@pytest.mark.parametrize("name", OF_A_JOB)
def test_a_reader_changes_nothing(hidden: int, name: str) -> None:
    reader = person("ana", "reader", PROJECT)
    before = _without_clock(hidden)
    assert reader.post(address(name, hidden)).status_code in {403, 405}
    assert _without_clock(hidden) == before


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_list_shows_a_stranger_nothing(hidden: int, name: str) -> None:
    answer = person("eve", "operator", "another").get(reverse(f"joblot_web:{name}"))
    assert answer.status_code == 200
    _shows_nothing(answer)
    assert NAME in person("ana", "reader", PROJECT).get(reverse("joblot_web:jobs")).content.decode()


@pytest.mark.parametrize("name", sorted(BULK))
@pytest.mark.parametrize("all_that_match", [True, False])
def test_an_act_on_many_is_none_on_a_strangers(
    hidden: int, name: str, all_that_match: bool
) -> None:
    """Neither does it tell whether the job exists."""
    where, before = reverse(f"joblot_web:{name}"), _without_clock(hidden)
    stranger = person("eve", "operator", "another")

    def answers(job_id: int) -> list[Any]:
        choice = {"all": "1", "filter": ""} if all_that_match else {"id": str(job_id)}
        seen = {"expected": "1", "expected_items": "2", "mark": ""}
        asked = stranger.get(where, choice), stranger.post(where, choice | seen)
        for answer in asked:
            _shows_nothing(answer)
        return [one.status_code for one in asked]

    assert answers(hidden) == answers(hidden + 1) == [200, 409]
    reader = person("ana", "reader", PROJECT)
    assert reader.get(where, {"id": str(hidden)}).status_code == 403
    assert reader.post(where, {"id": str(hidden)}).status_code == 403
    assert browser_like().get(where).status_code == 302
    assert browser_like().post(where).status_code == 401
    assert _without_clock(hidden) == before


def test_a_stranger_does_not_even_count_it(hidden: int) -> None:
    found = {
        name: person(name, "reader", project).get("/jobs/counts").json()["STARTED"]
        for name, project in (("eve", "another"), ("ana", PROJECT))
    }
    assert found == {"eve": "0", "ana": "1"}


@pytest.mark.parametrize("name", sorted({*OF_A_JOB, *LISTS}))
def test_nobody_is_shown_anything(hidden: int, name: str) -> None:
    where = reverse(f"joblot_web:{name}") if name in LISTS else address(name, hidden)
    asked = browser_like().get(where)
    assert asked.status_code == 302
    assert asked["Location"].startswith("/sign-in?next=")
    script = Client().get(where)
    assert script.status_code == 401
    assert script.json()["code"] == "not_authenticated"
    assert browser_like().post(where).status_code in {401, 405}


@pytest.mark.parametrize("name", sorted(ADMIN))
def test_an_operator_of_a_project_is_no_administrator(hidden: int, name: str) -> None:
    (pattern,) = (p for p in urls.urlpatterns if p.name == name)
    where = reverse(f"joblot_web:{name}", kwargs=dict.fromkeys(pattern.pattern.converters, 1))
    operator = person("eve", "operator", PROJECT)
    assert operator.get(where).status_code == 403
    assert operator.post(where).status_code in {403, 405}
    assert browser_like().get(where)["Location"].startswith("/sign-in?next=")
    assert browser_like().post(where).status_code in {401, 405}


def test_a_user_without_a_role_is_told_so(hidden: int) -> None:
    from django.contrib.auth import get_user_model

    client = browser_like()
    client.force_login(get_user_model().objects.create_user("bob"))
    answer = client.get("/jobs")
    assert answer.status_code == 403
    assert "bob is signed in, but has no role in any project" in answer.content.decode()


@pytest.mark.parametrize(("codename", "operates"), [("view_jobs", False), ("operate_jobs", True)])
def test_djangos_permissions_count(hidden: int, codename: str, operates: bool) -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission

    from joblot.web.visitor import of_user

    user = get_user_model().objects.create_user("bob")
    user.user_permissions.add(Permission.objects.get(codename=codename))
    visitor = of_user(user)
    assert visitor.sees(PROJECT)
    assert visitor.may_operate(PROJECT) == operates


def test_a_role_in_one_project_is_none_in_another(hidden: int) -> None:
    from django.contrib.auth import get_user_model

    from joblot.web.users import change_role
    from joblot.web.visitor import of_user

    person("ana", "reader", PROJECT, "b")
    change_role("ana", projects=["b"], role="operator")
    visitor = of_user(get_user_model().objects.get(username="ana"))
    assert visitor.projects == frozenset({PROJECT, "b"})
    assert (visitor.may_operate("b"), visitor.may_operate(PROJECT)) == (True, False)


def _patterns() -> Iterator[URLPattern]:
    for one in get_resolver("joblot.web.urls").url_patterns:
        assert isinstance(one, URLPattern), "the walk expects a flat list"
        yield one


def _ask(client: Client, where: str) -> list[int]:
    return [client.get(where).status_code, client.post(where).status_code]


def _shows_nothing(answer: Any) -> None:
    content = b"".join(answer) if answer.streaming else answer.content
    assert [word for word in HIDDEN if word.encode() in content] == []


def _without_clock(job_id: int) -> dict[str, Any]:
    return {**progress(job_id), "as_of": None, "eta": None}
