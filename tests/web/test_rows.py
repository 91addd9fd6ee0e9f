"""The list of jobs keeps up with its jobs, and does not move."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from joblot.ledger.job.lifecycle import pause
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.read.test_pace import begun_before
from tests.ledger.worker import drain, keys
from tests.web.browser import Visit
from tests.web.people import person


@pytest.fixture
def jobs(ledger_db: str) -> list[Job]:
    return [submit(f"job {n}", keys(4), pipeline=f"p{n}") for n in range(3)]


def row(page: Page, job: Job) -> Any:
    return page.locator(f"tr[data-job='{job.pk}']")


def test_a_row_follows_its_job_until_it_has_ended(jobs: list[Job], page: Page) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/snapshots.json" in request.url:
            asked.append(request.url)

    page.reload()
    page.on("request", note)
    drain("p1")
    expect(row(page, jobs[1])).to_contain_text("Succeeded")
    expect(row(page, jobs[1])).to_contain_text("4 of 4")
    expect(row(page, jobs[0])).to_contain_text("Waiting")
    with page.expect_request("**/snapshots.json*"):
        pass
    assert str(jobs[1].pk) in asked[0].partition("ids=")[2]
    assert str(jobs[1].pk) not in asked[-1].partition("ids=")[2].partition("&")[0].split("%2C")


def test_its_pace_and_its_end_follow_too(ledger_db: str, page: Page) -> None:
    job = submit("tiles", keys(600), pipeline="tiles")
    page.reload()
    cells = row(page, job)
    expect(cells.locator("[data-f='pace.per_minute']")).to_have_text("–")
    expect(cells.locator("time").first).to_be_hidden()
    worker.succeed(worker.lease("tiles", limit=200))
    begun_before(ledger_db, job, 120)
    expect(cells.locator("[data-f='pace.per_minute']")).not_to_have_text("–")
    ends = cells.locator("[data-f='pace.p50_at']")
    expect(ends).to_be_visible()
    expect(ends).to_have_text(re.compile(r"^\d\d:\d\d$"))
    pause(job.pk)
    expect(cells).to_contain_text("Paused")
    expect(cells.locator("[data-f='pace.per_minute']")).to_have_text("–")
    expect(ends).to_be_hidden()


def test_what_is_lost_is_said_and_recovers(
    visit: Callable[..., Visit], token_file: Path, sqlite_only: str
) -> None:
    submit("tiles", keys(2), pipeline="p")
    window = visit()
    window.allow("ERR_INTERNET_DISCONNECTED")
    page = window.enter(token_file)
    state = page.locator("[data-live-state]")
    expect(state).to_have_text("Live")
    window.context.set_offline(True)
    expect(state).to_have_text(re.compile(r"Not live. Last true at \d\d:\d\d:\d\d UTC. Retrying."))
    window.context.set_offline(False)
    expect(state).to_have_text("Live")


def test_new_jobs_of_a_filter_are_announced(sqlite_only: str, page: Page) -> None:
    submit("tiles", keys(1), pipeline="p")
    page.goto("/jobs?q=tiles")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    submit("birds", keys(1), pipeline="p")
    submit("more tiles", keys(1), pipeline="p")
    page.get_by_role("link", name="1 new job · show").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert page.url.endswith("/jobs?q=tiles")


def test_new_jobs_are_announced_and_the_rows_stay(jobs: list[Job], page: Page) -> None:
    page.reload()
    before = page.locator("tbody tr").all_inner_texts()
    submit("another", keys(1), pipeline="p")
    expect(page.get_by_role("link", name="1 new job · show")).to_be_visible()
    submit("one more", keys(1), pipeline="p")
    link = page.get_by_role("link", name="2 new jobs · show")
    expect(link).to_be_visible()
    assert page.locator("tbody tr").all_inner_texts() == before
    link.click()
    expect(page.locator("tbody tr")).to_have_count(5)


def test_rows_that_can_not_be_seen_are_not_asked_for(
    visit: Callable[..., Visit], token_file: Path, sqlite_only: str
) -> None:
    for n in range(40):
        submit(f"job {n}", keys(1), pipeline="p")
    page = visit(viewport={"width": 1280, "height": 300}).enter(token_file)
    with page.expect_request("**/snapshots.json*") as asked:
        page.reload()
    ids = asked.value.url.partition("ids=")[2].partition("&")[0].split("%2C")
    assert 0 < len(ids) < 20


def test_a_persons_projects_limit_what_is_answered(ledger_db: str) -> None:
    mine = submit("mine", keys(1), pipeline="p", project="a")
    theirs = submit("theirs", keys(1), pipeline="p", project="b")
    client = person("ana", "reader", "a")
    answer = client.get(f"/jobs/snapshots.json?ids={theirs.pk},{mine.pk},99&newest=0").json()
    assert [one["id"] for one in answer["jobs"]] == [mine.pk]
    assert answer["newer"] == 1


@pytest.mark.parametrize("ids", ["x", "1,", "-1", "1,2;3", "9" * 30, ",".join(["1"] * 101)])
def test_what_are_no_ids(ledger_db: str, ids: str) -> None:
    answer = person("ana").get("/jobs/snapshots.json", {"ids": ids}, headers={"accept": "*/*"})
    assert answer.status_code == 422
    assert "ids: expected" in answer.json()["detail"]
