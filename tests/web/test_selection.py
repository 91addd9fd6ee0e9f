"""Selecting rows of the list, and acting on them in a dialog, or without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from joblot.ledger.read.history import events
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.statuses import job_in
from tests.ledger.worker import drain, keys
from tests.web.browser import Visit, check_page


@pytest.fixture
def jobs(ledger_db: str) -> list[Job]:
    """Three that run, with an item in flight in the first, and one that has succeeded."""
    made = [submit(f"job {n}", keys(3), pipeline=f"p{n}") for n in range(3)]
    worker.lease("p0", limit=1)
    return [*made, job_in(JobStatus.SUCCESS)]


@pytest.fixture
def listed(jobs: list[Job], page: Page) -> Page:
    page.goto("/jobs")
    return page


def bar(page: Page) -> Any:
    return page.get_by_role("form", name="Act on the selected jobs")


def test_rows_are_selected_by_box_and_by_key(listed: Page, jobs: list[Job]) -> None:
    expect(bar(listed)).to_be_hidden()
    listed.keyboard.press("j")
    listed.keyboard.press("x")
    expect(bar(listed)).to_contain_text("1 selected")
    listed.keyboard.press("j")
    listed.keyboard.press("x")
    expect(bar(listed)).to_contain_text("2 selected")
    listed.keyboard.press("x")
    expect(bar(listed)).to_contain_text("1 selected")
    listed.get_by_role("checkbox", name=f"Select job 0 #{jobs[0].pk}").check()
    listed.keyboard.press("k")
    expect(bar(listed)).to_contain_text("2 selected")
    listed.get_by_role("checkbox", name="Select all rows").check()
    expect(bar(listed)).to_contain_text("4 selected")
    listed.get_by_role("button", name="Clear").click()
    expect(bar(listed)).to_be_hidden()
    expect(listed.locator("input[name=id]:checked")).to_have_count(0)


def test_a_dialog_asks_acts_and_names_the_rest(listed: Page, jobs: list[Job]) -> None:
    listed.get_by_role("checkbox", name="Select all rows").check()
    listed.get_by_role("button", name="Pause", exact=True).click()
    dialog = listed.get_by_role("dialog")
    expect(dialog).to_contain_text("Pause 3 of 4 jobs?")
    expect(dialog.get_by_role("link", name="Back")).to_be_focused()
    listed.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(listed.get_by_role("button", name="Pause", exact=True)).to_be_focused()
    listed.keyboard.press("Enter")
    listed.get_by_label("Reason").fill("lunch")
    dialog.get_by_role("button", name="Pause 3 jobs").click()
    expect(dialog).to_contain_text("3 paused, 1 was not running.")
    expect(dialog).to_contain_text("The job has succeeded; only one that is running")
    dialog.get_by_role("link", name="Back to the list").click()
    expect(listed.locator("tbody tr", has_text="Paused")).to_have_count(3)
    expect(bar(listed)).to_be_hidden()
    assert events(jobs[0].pk)[-1]["reason"] == "lunch"


def test_a_dialog_asks_again_if_the_number_has_changed(
    visit: Callable[..., Visit], token_file: Path, jobs: list[Job]
) -> None:
    window = visit()
    window.allow("409")
    page = window.enter(token_file)
    page.goto("/jobs?status=pending")
    page.get_by_role("checkbox", name="Select all rows").check()
    page.evaluate("document.querySelector('#bulk').elements.all.click()")
    page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Pause 2 jobs?")
    expect(dialog).to_contain_text("All jobs that match the filter: status:pending")
    submit("never seen", keys(1), pipeline="p9")
    dialog.get_by_role("button", name="Pause 2 jobs").click()
    expect(dialog).to_contain_text("The number of jobs has changed from 2 to 3.")
    dialog.get_by_role("button", name="Pause 3 jobs").click()
    expect(page.get_by_text("3 paused.")).to_be_visible()


def test_all_that_match_on_all_pages_are_selected(page: Page, sqlite_only: str) -> None:
    for n in range(60):
        submit(f"job {n}", keys(1), pipeline="p")
    page.goto("/jobs")
    page.get_by_role("checkbox", name="Select all rows").check()
    expect(bar(page)).to_contain_text("50 selected")
    page.get_by_role("checkbox", name="select all 60 matching").check()
    expect(bar(page)).to_contain_text("all 60 selected")
    check_page(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel 60 jobs with 60 unsettled items?")
    check_page(page)
    page.keyboard.press("Escape")
    page.locator("input[name=id]").first.uncheck()
    expect(bar(page)).to_contain_text("49 selected")
    expect(page.get_by_role("checkbox", name="select all 60 matching")).not_to_be_checked()


def test_a_selection_survives_updates(listed: Page, jobs: list[Job]) -> None:
    listed.get_by_role("checkbox", name=f"Select job 1 #{jobs[1].pk}").check()
    drain("p1")
    row = listed.locator(f"tr[data-job='{jobs[1].pk}']")
    expect(row).to_contain_text("Succeeded")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(bar(listed)).to_contain_text("1 selected")


def test_many_are_changed_without_javascript(
    visit: Callable[..., Visit], token_file: Path, jobs: list[Job]
) -> None:
    page = visit(java_script_enabled=False).enter(token_file)
    page.goto("/jobs?q=job")
    page.get_by_role("checkbox", name=f"Select job 1 #{jobs[1].pk}").check()
    page.get_by_role("checkbox", name=f"Select job 2 #{jobs[2].pk}").check()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("heading", name="Pause 2 jobs?")).to_be_visible()
    page.get_by_role("button", name="Pause 2 jobs").click()
    expect(page.get_by_text("2 paused.")).to_be_visible()
    assert page.url.endswith("/jobs?q=job")
    page.get_by_role("checkbox", name="All jobs that match the filter").check()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.get_by_role("heading", name="Resume 2 of 3 jobs?")).to_be_visible()
    page.get_by_role("button", name="Resume 2 jobs").click()
    expect(page.get_by_role("heading", name="2 resumed, 1 was not paused.")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    assert page.url.endswith("/jobs?q=job")


def test_the_pages_of_an_act_on_many_are_accessible(
    page: Page, sqlite_only: str, jobs: list[Job]
) -> None:
    where = "&".join(f"id={job.pk}" for job in jobs)
    page.goto(f"/jobs/cancel?{where}")
    check_page(page)
    page.goto(f"/jobs/pause?{where}")
    page.get_by_role("button", name="Pause 3 jobs").click()
    expect(page.get_by_role("heading", name="3 paused, 1 was not running.")).to_be_visible()
    found = page.get_by_role("link", name="one")
    expect(found).to_be_visible()
