"""The log of a job: pages, filters, following it, downloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Locator, Page, expect

from joblot.ledger.job.lifecycle import pause
from joblot.ledger.rows.log import Line, append, log
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.server.bridge import WholeResponse
from tests.ledger.worker import keys
from tests.server.served import Served
from tests.web.browser import Visit, check_page
from tests.web.people import person

LINES = 450


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana", "operator")


@pytest.fixture
def job(ledger_db: str) -> Job:
    """A job whose log has 450 lines besides its event; every tenth is a warning, about item 3."""
    job = submit("tiles", keys(9), pipeline="p")
    append(
        job.pk,
        [
            Line(
                f"line {n:03}", level="info" if n % 10 else "warning", number=None if n % 10 else 3
            )
            for n in range(LINES)
        ],
    )
    return job


@pytest.fixture
def quick(configure: Callable[..., None]) -> None:
    configure(live_seconds=0.05, live_final_seconds=0.2)


def shown(client: Client, where: str, status: int = 200) -> str:
    answer = client.get(where)
    assert answer.status_code == status, answer.content
    return unescape(answer.content.decode())


def messages(page: str) -> list[str]:
    return re.findall(r'<span class="message">([^<]*)</span>', page)


def link(page: str, text: str) -> str:
    """The address behind this text; "" if there is no such link."""
    found = re.search(rf'<a href="([^"]*)"[^>]*>{text}</a>', page)
    return found[1] if found else ""


def all_lines() -> list[str]:
    return [f"line {n:03}" for n in range(LINES)]


def test_a_job_shows_its_newest_lines_oldest_first(ana: Client, job: Job) -> None:
    found = messages(shown(ana, f"/jobs/{job.pk}"))
    assert found == all_lines()[-200:]


def test_pages_lead_back_to_the_first_line_and_forth_to_the_last(ana: Client, job: Job) -> None:
    page = shown(ana, f"/jobs/{job.pk}/logs")
    found = messages(page)
    while older := link(page, "← Older"):
        page = shown(ana, older)
        found = [*messages(page), *found]
    assert found[-LINES:] == all_lines()
    assert len(found) == LINES + 1  # with the event of the submission
    found = messages(page)
    while newer := link(page, "Newer →"):
        page = shown(ana, newer)
        found += messages(page)
    assert found[-LINES:] == all_lines()
    assert messages(shown(ana, link(page, "Newest"))) == all_lines()[-200:]


def test_a_filter_stays_on_all_pages(ana: Client, job: Job) -> None:
    warnings = all_lines()[::10]
    page = shown(ana, f"/jobs/{job.pk}/logs?level=warning&search=LINE+4")
    assert messages(page) == [one for one in warnings if one.startswith("line 4")]
    assert "<option selected>warning</option>" in page
    assert 'value="LINE 4"' in page
    about = shown(ana, f"/jobs/{job.pk}/logs?item=3")
    assert messages(about) == warnings
    assert "Lines about" in about
    page = shown(ana, f"/jobs/{job.pk}/logs?level=info&search=line")
    assert link(page, "← Older").startswith(f"/jobs/{job.pk}/logs?level=info&search=line&before=")
    assert "No line matches" in shown(ana, f"/jobs/{job.pk}/logs?search=nothing+like+this")


@pytest.mark.parametrize(
    "query",
    ["level=loud", "item=x", "before=-1", "after=1e3", "before=99999999999999999999", "l=1"],
)
def test_what_a_log_has_not_is_said(ana: Client, job: Job, query: str) -> None:
    assert "expected" in shown(ana, f"/jobs/{job.pk}/logs?{query}", 422)


def downloaded(client: Client, where: str) -> tuple[Any, str]:
    answer: Any = client.get(where)
    assert answer.status_code == 200
    return answer, b"".join(answer.streaming_content).decode()


def test_a_download_has_all_lines_of_the_filter(
    ana: Client, job: Job, configure: Callable[..., None]
) -> None:
    configure(page_items_max=100)
    page = shown(ana, f"/jobs/{job.pk}/logs?level=warning")
    answer, text = downloaded(ana, link(page, "Text"))
    heading, *lines = text.splitlines()
    assert re.match(
        rf"# log of job {job.pk}, tiles: run 1, revision 0, as of .*level warn", heading
    )
    assert [line.partition("item 3: ")[2] for line in lines] == all_lines()[::10]
    name = rf'attachment; filename="joblot-{job.pk}-run1-rev0-log-\d{{8}}T\d{{4}}Z\.txt"'
    assert re.fullmatch(name, answer["Content-Disposition"])
    _, text = downloaded(ana, f"/jobs/{job.pk}/logs.ndjson")
    about, *parsed = map(json.loads, text.splitlines())
    assert (about["job"], about["filter"]) == (job.pk, {})
    assert [line["message"] for line in parsed][-LINES:] == all_lines()
    assert len({line["id"] for line in parsed}) == LINES + 1


def test_a_server_takes_one_page_of_a_download_at_a_time(
    page: Page, served: Served, ana: Client, job: Job, configure: Callable[..., None]
) -> None:
    configure(page_items_max=100)
    first = WholeResponse.of(ana.get(f"/jobs/{job.pk}/logs.ndjson"))
    assert len(first.body.splitlines()) == 101
    text = page.request.get(f"{served.url}/jobs/{job.pk}/logs.ndjson?search=line").text()
    _, *lines = map(json.loads, text.splitlines())
    assert [line["message"] for line in lines] == all_lines()


def box(page: Page) -> Locator:
    return page.locator("[data-log-box]")


def scroll_top(page: Page) -> float:
    return float(box(page).evaluate("box => box.scrollTop"))


def is_at_end(page: Page) -> bool:
    return bool(box(page).evaluate("box => box.scrollTop > -2"))


@pytest.mark.parametrize("where", ["", "/logs"])
def test_a_log_is_followed_until_somebody_scrolls_up(
    page: Page, served: Served, quick: None, job: Job, where: str
) -> None:
    streams: list[str] = []
    page.on("request", lambda one: streams.append(one.url) if "/live?" in one.url else None)
    page.goto(f"{served.url}/jobs/{job.pk}{where}")
    last = box(page).locator("li").last
    expect(last).to_have_text(re.compile("line 449"))
    assert is_at_end(page)
    button = page.get_by_role("button", name="Follow")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    log(job.pk, "while followed")
    expect(last).to_have_text(re.compile("while followed"))
    pause_text = re.compile("paused by ben")
    pause(job.pk, actor="ben")
    expect(last).to_have_text(pause_text)
    assert is_at_end(page)
    assert len(streams) == 1  # nothing but the page's own stream
    box(page).evaluate("box => { box.scrollTop = -600; }")
    expect(button).to_have_attribute("aria-pressed", "false")
    before = scroll_top(page)
    log(job.pk, "unseen")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    _next_snapshots(page, 3)
    expect(last).to_have_text(pause_text)
    assert scroll_top(page) == before
    button.click()
    expect(last).to_have_text(re.compile("unseen"))
    assert is_at_end(page)


def _next_snapshots(page: Page, count: int) -> None:
    page.evaluate(
        """count => new Promise((done) => document.addEventListener(
            "joblot:snapshot", () => --count || done()))""",
        count,
    )


def test_only_what_the_filter_names_is_added_each_line_once(
    page: Page, served: Served, quick: None, job: Job
) -> None:
    page.goto(f"{served.url}/jobs/{job.pk}/logs?level=warning")
    page.get_by_role("button", name="Follow").click()
    for n in range(30):
        log(job.pk, f"quiet {n}")
        log(job.pk, f"loud {n}", level="error")
    expect(box(page).locator("li").last).to_have_text(re.compile("loud 29"))
    found = box(page).locator(".message").all_inner_texts()
    assert found == [*all_lines()[::10], *(f"loud {n}" for n in range(30))]


def test_a_line_that_is_written_late_is_put_in_its_place(
    page: Page, served: Served, quick: None, ledger_db: str
) -> None:
    """A handler writes from a queue, so an event may come before a line that was logged first."""
    job = submit("late", keys(2), pipeline="p")
    page.goto(f"{served.url}/jobs/{job.pk}/logs")
    page.get_by_role("button", name="Follow").click()
    pause(job.pk)
    last = box(page).locator("li").last
    expect(last).to_have_text(re.compile("paused"))
    append(job.pk, [Line("before the pause", age=600.0)])
    expect(box(page).locator("li", has_text="before the pause")).to_be_visible()
    shown_lines = box(page).locator(".message").all_inner_texts()
    page.reload()
    assert box(page).locator(".message").all_inner_texts() == shown_lines
    assert shown_lines[-1] != "before the pause"


def test_an_empty_log_fills_while_it_is_followed(
    page: Page, served: Served, quick: None, job: Job
) -> None:
    page.goto(f"{served.url}/jobs/{job.pk}/logs?search=needle")
    expect(page.get_by_text("No line matches")).to_be_visible()
    page.get_by_role("button", name="Follow").click()
    log(job.pk, "a needle")
    expect(box(page).get_by_text("a needle")).to_be_visible()
    expect(page.get_by_text("No line matches")).to_be_hidden()


def test_the_key_leads_to_the_log(page: Page, served: Served, job: Job) -> None:
    page.goto(f"{served.url}/jobs/{job.pk}")
    page.keyboard.press("l")
    page.wait_for_url("**#logs")
    expect(page.get_by_role("heading", name="Logs")).to_be_in_viewport()


def test_a_log_works_without_javascript(
    visit: Callable[..., Visit], token_file: Any, job: Job
) -> None:
    page = visit(java_script_enabled=False).enter(token_file)
    page.goto(f"/jobs/{job.pk}/logs")
    expect(page.get_by_role("button", name="Follow")).to_be_hidden()
    page.get_by_label("Search the log").fill("line 44")
    page.get_by_label("Least level").select_option("info")
    page.get_by_role("button", name="Show").click()
    expect(box(page).locator("li")).to_have_count(10)
    page.goto(f"/jobs/{job.pk}/logs")
    page.get_by_role("link", name="← Older").click()
    expect(box(page).locator("li").last).to_have_text(re.compile("line 249"))


@pytest.mark.parametrize("query", ["", "?item=3", "?search=none"])
def test_everybody_can_use_the_log(page: Page, job: Job, query: str) -> None:
    page.goto(f"/jobs/{job.pk}/logs{query}")
    check_page(page)
