"""Acting on a job: it asks with a number, and does nothing if the number has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.ledger.read.acts import Act
from joblot.ledger.read.causes import causes
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Job
from joblot.policy import Policy
from joblot.policy_words import FIELDS
from tests.ledger import worker
from tests.ledger.worker import drain, keys
from tests.server.served import Served
from tests.web.browser import Visit, check_page
from tests.web.people import person

Configure = Callable[..., None]


@pytest.fixture
def ana(ledger_db: str) -> Client:
    """An operator of all projects."""
    return person("ana", "operator")


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Five items, one of them in flight."""
    job = submit("tiles", keys(5), pipeline="p")
    worker.lease(limit=1)
    return job


@pytest.fixture
def failed(ledger_db: str) -> Job:
    """An ended job of five items, of which two have failed."""
    job = submit("tiles", keys(5), pipeline="p")
    worker.fail(worker.lease(limit=2))
    drain("p")
    return job


def text(answer: Any) -> str:
    """What a person reads of it."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def status(job: Job) -> str:
    return str(progress(job.pk)["status"])


@pytest.mark.parametrize(
    ("act", "asks", "happens"),
    [
        ("pause", "Pause tiles?", "1 item in flight: their results still count."),
        ("cancel", "Cancel 5 unsettled items of tiles?", "1 item in flight: results that arrive"),
        ("delete", "Delete tiles with 5 items?", "1 item in flight: they are canceled at once"),
        ("edit", "Edit tiles", "1 item in flight: they keep their leases."),
    ],
)
def test_a_page_asks_with_verb_number_and_noun(
    ana: Client, job: Job, act: str, asks: str, happens: str
) -> None:
    """And says what happens to work in flight. Asking changes nothing."""
    before = len(events(job.pk))
    answer = ana.get(f"/jobs/{job.pk}/{act}")
    assert answer.status_code == 200
    assert asks in text(answer)
    assert happens in text(answer)
    assert len(events(job.pk)) == before


def test_what_is_refused_now_says_why_and_has_no_button(ana: Client, job: Job) -> None:
    answer = ana.get(f"/jobs/{job.pk}/resume")
    assert "The job is running; only one that is paused can be resumed." in text(answer)
    assert b'name="reason"' not in answer.content


def test_doing_it_records_who_and_why_and_says_what_was_done(ana: Client, job: Job) -> None:
    answer = ana.post(f"/jobs/{job.pk}/pause", {"reason": "disk full"}, follow=True)
    assert answer.redirect_chain == [(f"/jobs/{job.pk}", 302)]
    assert "Paused. 1 item in flight: their results still count." in text(answer)
    assert status(job) == "PAUSED"
    last = events(job.pk)[-1]
    assert (last["kind"], last["actor"], last["reason"]) == ("paused", "ana", "disk full")
    assert "Paused. 1 item" not in text(ana.get(f"/jobs/{job.pk}"))


def test_what_is_refused_changes_nothing_when_it_is_posted(ana: Client, job: Job) -> None:
    answer = ana.post(f"/jobs/{job.pk}/resume")
    assert status(job) == "STARTED"
    assert answer.status_code in {302, 409}


def test_a_retry_names_its_run_and_number(ana: Client, failed: Job) -> None:
    assert "Retry 2 failed items of tiles?" in text(ana.get(f"/jobs/{failed.pk}/retry"))
    answer = ana.post(f"/jobs/{failed.pk}/retry", {"expected": "2"}, follow=True)
    assert "Run 2 started with 2 items." in text(answer)


def test_another_number_asks_again_and_nothing_was_changed(ana: Client, failed: Job) -> None:
    """The page was opened when two had failed; then a third did."""
    retry(failed.pk)
    worker.fail(worker.lease(limit=2))
    asked = ana.get(f"/jobs/{failed.pk}/retry")
    assert "Retry 2 failed items" in text(asked)
    answer = ana.post(f"/jobs/{failed.pk}/retry", {"expected": "3", "reason": "fixed"})
    assert answer.status_code == 409
    assert "The number has changed from 3 to 2. Nothing was changed" in text(answer)
    assert b'name="expected" value="2"' in answer.content
    assert b'value="fixed"' in answer.content
    assert progress(failed.pk)["run"] == 2


def test_a_group_of_failures_is_retried_alone(ana: Client, failed: Job) -> None:
    (cause,) = causes(failed.pk)["causes"]
    asked = ana.get(f"/jobs/{failed.pk}/retry", {"cause": cause["cause"]})
    assert "Retry 2 failed items of this cause of tiles?" in text(asked)
    form = {"expected": "2", "cause": cause["cause"]}
    assert "Run 2 started with 2 items" in text(
        ana.post(f"/jobs/{failed.pk}/retry", form, follow=True)
    )


def test_a_cancel_may_find_fewer_items_but_not_more(ana: Client, ledger_db: str) -> None:
    """While workers report, the number falls all the time."""
    job = submit("tiles", keys(5), pipeline="p", seal=False)
    add_items(job.pk, ["one more"])
    answer = ana.post(f"/jobs/{job.pk}/cancel", {"expected": "5"})
    assert answer.status_code == 409
    assert status(job) == "PENDING"
    worker.succeed(worker.lease(limit=2))
    answer = ana.post(f"/jobs/{job.pk}/cancel", {"expected": "6"}, follow=True)
    assert "4 items not settled" in text(answer)
    assert status(job) in {"CANCELING", "REVOKED"}


def test_a_large_cancel_wants_the_jobs_name(ana: Client, job: Job, configure: Configure) -> None:
    configure(cancel_named_items=4)
    assert "type the job's name" in text(ana.get(f"/jobs/{job.pk}/cancel")).replace("&#x27;", "'")
    for name in ("", "tile"):
        answer = ana.post(f"/jobs/{job.pk}/cancel", {"expected": "5", "name": name})
        assert answer.status_code == 422
        assert status(job) == "STARTED"
    ana.post(f"/jobs/{job.pk}/cancel", {"expected": "5", "name": "tiles"})
    assert status(job) in {"CANCELING", "REVOKED"}


@pytest.mark.parametrize("expected", ["", "x", "-1", "9" * 20, "\u0665"])
@pytest.mark.parametrize("act", ["retry", "cancel"])
def test_a_form_without_its_number_is_refused(
    ana: Client, failed: Job, act: str, expected: str
) -> None:
    answer = ana.post(f"/jobs/{failed.pk}/{act}", {"expected": expected})
    assert answer.status_code == 422
    assert progress(failed.pk)["run"] == 1


def test_an_edit_changes_only_what_the_person_has_changed(ana: Client, job: Job) -> None:
    """Somebody else has changed the priority since the form was made."""
    form = {"was_name": "tiles", "name": "slates", "was_priority": "0", "priority": "0"}
    form |= {"was_policy.failures_max": "3", "policy.failures_max": "5"}
    Job.objects.filter(pk=job.pk).update(priority=7)
    ana.post(f"/jobs/{job.pk}/edit", form)
    job.refresh_from_db()
    assert (job.name, job.priority, job.policy["failures_max"]) == ("slates", 7, 5)


def test_the_form_says_what_each_setting_means(ana: Client, job: Job) -> None:
    html = ana.get(f"/jobs/{job.pk}/edit").content.decode()
    settings = [f"policy.{one.name}" for one in fields(Policy)]
    assert list(FIELDS) == ["name", "priority", *settings]
    for name, field in FIELDS.items():
        assert re.search(rf'<label for="f-{name}">{field.label}[ <]', html)
        assert f'id="f-{name}"' in html
        assert f'aria-describedby="h-{name}"' in html
        assert f'<p class="hint" id="h-{name}">{field.help}</p>' in html
    assert "(seconds)</span></label>" in html
    policy = ana.get(f"/jobs/{job.pk}").content.decode().partition("<summary>Policy")[2]
    assert all(f"<dt>{FIELDS[name].label}</dt>" in policy for name in settings)


def test_an_edit_that_is_invalid_shows_the_form_again(ana: Client, job: Job) -> None:
    form = {"was_policy.failures_max": "3", "policy.failures_max": "many"}
    answer = ana.post(f"/jobs/{job.pk}/edit", form)
    assert answer.status_code == 422
    assert "Most failures of an item: expected a number" in text(answer)
    assert b'value="many"' in answer.content


def test_a_deleted_job_leads_to_the_list(ana: Client, failed: Job) -> None:
    answer = ana.post(f"/jobs/{failed.pk}/delete", follow=True)
    assert answer.redirect_chain == [("/jobs", 302)]
    assert f"Deleted tiles (#{failed.pk})." in text(answer)


@pytest.mark.parametrize("act", Act)
def test_a_reader_sees_no_acts_and_does_none(job: Job, act: Act) -> None:
    reader = person("eve", "reader")
    assert f"/jobs/{job.pk}/{act}" not in reader.get(f"/jobs/{job.pk}").content.decode()
    before = len(events(job.pk))
    assert reader.get(f"/jobs/{job.pk}/{act}").status_code == 403
    assert reader.post(f"/jobs/{job.pk}/{act}", {"expected": "5"}).status_code == 403
    assert len(events(job.pk)) == before


# In a browser


def test_a_dialog_asks_and_does_it(page: Page, job: Job) -> None:
    page.goto(f"/jobs/{job.pk}")
    page.get_by_role("link", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Pause tiles?")
    expect(dialog.get_by_role("link", name="Back")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("link", name="Pause", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("lunch")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("Paused. 1 item in flight")).to_be_visible()
    assert events(job.pk)[-1]["reason"] == "lunch"


def test_a_dialog_asks_again_if_the_number_has_changed(
    visit: Callable[..., Visit], token_file: Path, failed: Job
) -> None:
    """Somebody else retries while it is open, and one item fails again."""
    window = visit()
    window.allow("409")
    page = window.enter(token_file)
    page.goto(f"/jobs/{failed.pk}")
    page.get_by_role("link", name="Retry", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Retry 2 failed items of tiles?")
    retry(failed.pk)
    worker.fail(worker.lease(limit=1))
    drain("p")
    dialog.get_by_role("button", name="Retry 2 items").click()
    expect(dialog).to_contain_text("The number has changed from 2 to 1. Nothing was changed")
    assert progress(failed.pk)["run"] == 2
    dialog.get_by_role("button", name="Retry 1 item").click()
    expect(page.get_by_text("Run 3 started with 1 item.")).to_be_visible()


def test_acts_work_without_javascript(
    visit: Callable[..., Visit], token_file: Path, failed: Job
) -> None:
    page = visit(java_script_enabled=False).enter(token_file)
    page.goto(f"/jobs/{failed.pk}")
    page.get_by_role("link", name="Retry", exact=True).click()
    expect(page.get_by_role("heading", name="Retry 2 failed items of tiles?")).to_be_visible()
    page.get_by_role("button", name="Retry 2 items").click()
    expect(page.get_by_text("Run 2 started with 2 items.")).to_be_visible()


def test_buttons_follow_the_job(page: Page, served: Served, job: Job) -> None:
    page.goto(f"/jobs/{job.pk}")
    pause = page.get_by_role("link", name="Pause", exact=True)
    expect(pause).not_to_have_attribute("aria-disabled", "true")
    lifecycle.pause(job.pk)
    expect(pause).to_have_attribute("aria-disabled", "true")
    expect(pause).to_have_attribute(
        "title", "The job is paused; only one that is running can be paused."
    )
    expect(page.get_by_role("link", name="Resume", exact=True)).to_be_visible()


@pytest.mark.parametrize("act", ["cancel", "edit", "resume"])
def test_the_pages_that_ask_are_accessible(page: Page, sqlite_only: str, act: str) -> None:
    job = submit("tiles", keys(5), pipeline="p")
    page.goto(f"/jobs/{job.pk}/{act}")
    check_page(page)
