"""The page of a job: numbers that are links to exactly their items, sentences, and no lies."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from playwright.sync_api import Page

from joblot.ledger.job.lifecycle import cancel, pause
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sample import sample
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, receipts, succeed
from tests.web.browser import check_page
from tests.web.people import person


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana", "operator")


@pytest.fixture
def at_work(ledger_db: str) -> Job:
    """A job of two stages with items in every part, failures of two causes, and a log."""
    job = submit(
        "tiles <2026>",
        [f"tile/{n}.tif" for n in range(40)],
        stages=TWO_STAGES,
        policy={"retry_backoff_seconds": 1_000},
        config={"size": 256},
    )
    lease = worker.lease("p", 24, worker="gpu-7")
    sample()
    succeed(lease, 0, 1, 2, 3, 4, 5)
    receipts(lease, *(failure(n, "TimeoutError", f"tile {n} took 30 s") for n in (6, 7, 8)))
    receipts(lease, failure(9, "ValueError", "no data"))
    fail(lease, 10, 11, retryable=True)
    receipts(worker.lease("q", 3, worker="cpu-1"), success(0, {"sum": 3}))
    return job


def shown(client: Client, where: str) -> str:
    answer = client.get(where)
    assert answer.status_code == 200, answer.content
    return unescape(answer.content.decode())


COUNT = re.compile(r'href="([^"]+)" data-f="stages\.\d+\.\w+">([\d,]+)</a>')


def check_counts(client: Client, job: Job) -> None:
    """Behind each number of the table are exactly so many items; each row adds up."""
    page = shown(client, f"/jobs/{job.pk}")
    links = COUNT.findall(page)
    assert len(links) >= 5
    for where, count in links:
        rows = re.findall(r"<tr data-row>", shown(client, where))
        assert len(rows) == int(count.replace(",", "")), where
    assert page.count("The numbers add up to the total") == page.count("<tr data-stage=")
    assert "do not add up" not in page


def test_each_number_leads_to_its_items_and_each_row_adds_up(ana: Client, at_work: Job) -> None:
    check_counts(ana, at_work)
    pause(at_work.pk)
    check_counts(ana, at_work)


def test_a_canceled_job_adds_up_too(ana: Client, ledger_db: str) -> None:
    job = submit("x", keys(10), stages=TWO_STAGES)
    lease = worker.lease("p", 4)
    succeed(lease, 0)
    cancel(job.pk, grace_seconds=0, actor="ana", reason="disk full")
    receipts(lease, success(1))
    check_counts(ana, job)
    page = shown(ana, f"/jobs/{job.pk}")
    for word in ("Canceled before start", "Canceled in flight", "Finished after cancel"):
        assert word in page
    assert "disk full" in page


def test_the_sentence_counts_and_percent_is_rounded_down(ana: Client, at_work: Job) -> None:
    page = shown(ana, f"/jobs/{at_work.pk}")
    page = re.sub(r"<[^>]+>", "", page)
    assert "Working: 5 of 40 settled, 4 not well" in page
    assert "tiles &lt;2026&gt;" in ana.get(f"/jobs/{at_work.pk}").content.decode()
    assert "Too early: under 100 settled or under 60 s" in page


@pytest.mark.parametrize(
    ("settled", "of", "shown_as"), [(999_999, 1_000_000, "99.9 %"), (1, 3, "33.3 %")]
)
def test_a_percent_is_never_100_before_the_end(settled: int, of: int, shown_as: str) -> None:
    from joblot.ledger.read.progress import percent
    from joblot.states import JobStatus
    from joblot.web.templatetags.joblot import percent as written

    assert written(percent(settled, of, JobStatus.STARTED)) == shown_as


def test_failures_are_grouped_and_lead_to_their_items(ana: Client, at_work: Job) -> None:
    page = shown(ana, f"/jobs/{at_work.pk}")
    assert "4 failed or lost items in 2 groups" in page
    links = re.findall(r'href="(/jobs/\d+/items\?cause=\w+)"', page)
    assert [len(re.findall("<tr data-row>", shown(ana, link))) for link in links] == [3, 1]
    assert "all on gpu-7" in page


def test_events_say_who_did_what(ana: Client, at_work: Job) -> None:
    pause(at_work.pk, actor="ben", reason="the disk is full")
    page = shown(ana, f"/jobs/{at_work.pk}")
    assert re.search(r'data-label="Who">ben<.*data-label="Why">the disk is full<', page)


def test_the_log_can_be_searched(ana: Client, at_work: Job) -> None:
    pause(at_work.pk, actor="ben")
    page = shown(ana, f"/jobs/{at_work.pk}?search=paused")
    assert len(re.findall('<li class="level-', page)) == 1
    assert "No line matches" in shown(ana, f"/jobs/{at_work.pk}?search=nothing+like+this")
    assert ana.get(f"/jobs/{at_work.pk}?window=2h").status_code == 422


def test_a_run_in_which_nothing_was_claimed_has_no_throughput(ana: Client, ledger_db: str) -> None:
    job = submit("x", keys(3), pipeline="p")
    assert "Nothing was measured yet: the sweep samples" in shown(ana, f"/jobs/{job.pk}")
    cancel(job.pk)
    assert "Nothing was measured: the run ended before any item" in shown(ana, f"/jobs/{job.pk}")


def test_a_retry_shows_its_runs(ana: Client, ledger_db: str) -> None:
    job = submit("x", keys(2), pipeline="p")
    lease = worker.lease("p")
    fail(lease)
    succeed(lease, 0)
    retry(job.pk, actor="ana")
    page = shown(ana, f"/jobs/{job.pk}")
    assert "succeeded 0 → 1, failed 2 → 1" in page


def test_what_is_shown_can_be_used_by_everybody(page: Page, at_work: Job) -> None:
    page.goto(f"/jobs/{at_work.pk}")
    check_page(page)


def test_the_shortcuts_of_a_job_lead_to_its_sections(page: Page, at_work: Job) -> None:
    page.goto(f"/jobs/{at_work.pk}")
    for key, section in (("l", "logs"), ("w", "why")):
        page.keyboard.press(key)
        page.wait_for_url(f"**/jobs/{at_work.pk}#{section}")
