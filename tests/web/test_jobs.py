"""The page of jobs: filters, chips with counts, pages, and what it says when there are none."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from joblot.ledger.job.lifecycle import pause
from joblot.ledger.submit.submit import submit
from joblot.states import JobStatus
from joblot.web import find
from joblot.web.bars import PART_UNITS_MIN, UNITS, part_widths
from tests.ledger.statuses import job_in
from tests.ledger.worker import keys
from tests.web.browser import check_page
from tests.web.people import person


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana")


def shown(client: Client, where: str = "/jobs") -> list[int]:
    """The ids of the rows."""
    content = client.get(where).content.decode()
    return [int(one) for one in re.findall(r'<tr data-row data-job="(\d+)"', content)]


def walked(client: Client, where: str) -> list[int]:
    """The ids on all pages, following the links."""
    seen: list[int] = []
    while where:
        content = client.get(where).content.decode()
        seen += [int(one) for one in re.findall(r'<tr data-row data-job="(\d+)"', content)]
        link = re.search(r'href="([^"]+)" rel="next"', content)
        where = link[1].replace("&amp;", "&") if link else ""
    return seen


def test_each_job_is_on_one_page(ana: Client) -> None:
    made = [submit("same name", keys(1), pipeline="p").pk for _ in range(120)]
    for sort, expected in {"": made[::-1], "?sort=created": made, "?sort=name": made}.items():
        assert walked(ana, f"/jobs{sort}") == expected


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.FAILURE])
def test_a_chip_counts_the_rows_behind_it(ana: Client, status: JobStatus) -> None:
    for _ in range(2):
        job_in(JobStatus.FAILURE)
    for _ in range(2):
        pause(submit("one", keys(2), pipeline="p").pk)
    submit("another", keys(2), pipeline="p")
    found = ana.get("/jobs/counts", {"q": ""}).json()
    assert found[status.value] == "2"
    assert len(shown(ana, f"/jobs?status={status.value.lower()}")) == 2


def test_the_counts_are_those_of_the_filter(ana: Client) -> None:
    submit("tiles", keys(1), pipeline="p")
    submit("birds", keys(1), pipeline="p")
    assert ana.get("/jobs/counts?q=tiles").json()["PENDING"] == "1"
    assert ana.get("/jobs/counts?project=other").json()["PENDING"] == "0"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tiles", "/jobs?q=tiles"),
        ("status:started,failure night 12", "/jobs?status=started,failure&q=night+12"),
        ('project:"big one" since:7d', "/jobs?project=big+one&since=7d"),
        ("", "/jobs"),
    ],
)
def test_the_box_becomes_an_address(ana: Client, text: str, address: str) -> None:
    answer = ana.get("/jobs", {"find": text})
    assert (answer.status_code, answer["Location"]) == (302, address)


@pytest.mark.parametrize(
    "given", [{"q": "night 12"}, {"status": "started,failure"}, {"project": "big one", "q": "a:b"}]
)
def test_an_address_becomes_the_box_and_back(given: dict[str, str]) -> None:
    assert find.parameters(find.text_of(given)) == given


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "colour=red",
            "expected a parameter of status, project, pipeline, owner, q, since, until, sort",
        ),
        ("status=done", "status: expected one of CREATED, PENDING, STARTED"),
        ("since=soon", "since: expected a time such as 2026-11-24"),
        ("after=x", "after: expected the cursor"),
    ],
)
def test_a_wrong_filter_is_a_sentence_and_no_table(ana: Client, query: str, sentence: str) -> None:
    submit("tiles", keys(1), pipeline="p")
    answer = ana.get(f"/jobs?{query}")
    assert answer.status_code == 422
    content = answer.content.decode()
    assert sentence in content
    assert "<table" not in content
    assert "No job" not in content


def test_no_jobs_is_not_the_same_as_none_that_match(ana: Client) -> None:
    assert "No jobs yet" in ana.get("/jobs").content.decode()
    submit("tiles", keys(1), pipeline="p")
    content = ana.get("/jobs?q=birds&status=started").content.decode()
    assert "No job matches this filter." in content
    assert 'href="/jobs?q=birds"' in content  # without the status
    assert "No jobs yet" not in content


def test_an_open_job_has_at_least_so_many_items(ana: Client) -> None:
    submit("open", keys(1_234), pipeline="p", seal=False)
    submit("sealed", keys(2), pipeline="p")
    text = re.sub(r"<[^>]+>", "", ana.get("/jobs").content.decode())
    assert "0 of at least 1,234" in text
    assert "0 of 2" in text


def test_names_are_text(ana: Client) -> None:
    submit("<script>alert(1)</script>", keys(1), pipeline="p", project="<b>")
    content = ana.get("/jobs?project=<b>").content.decode()
    assert "<script>alert" not in content
    assert "<b>" not in content
    assert "&lt;script&gt;alert(1)" in content


@pytest.mark.parametrize(
    "counts",
    [[999_999, 1], [1, 0, 999_999][::2], [1, 1, 1, 1, 1, 1, 1, 10**9], [5], [50, 50]],
)
def test_every_part_of_a_bar_is_seen_and_they_fill_it(counts: list[int]) -> None:
    widths = part_widths(counts)
    assert min(widths) >= PART_UNITS_MIN
    assert sum(widths) == pytest.approx(UNITS, abs=0.01)
    if len(set(counts)) == 1:
        assert len(set(widths)) == 1


def test_the_page_in_a_browser(page: Page, sqlite_only: str) -> None:
    for status in (JobStatus.COMPLETED_WITH_ERRORS, JobStatus.REVOKED, JobStatus.STARTED):
        job_in(status)
    pause(submit("a-name-without-any-space-" * 7, keys(3), pipeline="p").pk)
    page.goto("/jobs")
    check_page(page)
    chip = page.get_by_role("link", name="Paused 1")
    expect(chip).to_be_visible()
    chip.click()
    page.wait_for_url("**/jobs?status=paused")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.get_by_role("link", name="Paused 1")).to_have_attribute("aria-current", "true")
    page.keyboard.press("/")
    page.keyboard.press("End")
    page.keyboard.type(" nothing")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs?status=paused&q=nothing")
    check_page(page)
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**/jobs")
