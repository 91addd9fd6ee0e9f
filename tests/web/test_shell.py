"""What all pages share, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.web.browser import Visit, check_page
from tests.web.people import person


def test_pages_without_jobs_are_accessible(page: Page, sqlite_only: str) -> None:
    check_page(page)
    expect(page.get_by_text("No jobs yet")).to_be_visible()


def test_pages_are_accessible(page: Page, sqlite_only: str) -> None:
    job = submit("tiles", keys(7), pipeline="p")
    page.goto("/jobs")
    check_page(page)
    page.get_by_role("link", name="tiles").click()
    page.wait_for_url(f"**/jobs/{job.pk}")
    check_page(page)


def test_the_sign_in_page_is_accessible(visit: Callable[..., Visit], sqlite_only: str) -> None:
    page = visit().page
    page.goto("/jobs?sort=name")
    assert page.url.endswith("/sign-in?next=%2Fjobs%3Fsort%3Dname")
    check_page(page)


def test_an_error_is_a_page_with_its_code(
    visit: Callable[..., Visit], token_file: Path, sqlite_only: str
) -> None:
    window = visit()
    window.allow("status of 404")
    page = window.enter(token_file)
    answer = page.goto("/jobs/99")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("job 99 does not exist")).to_be_visible()
    expect(page.get_by_text("not_found", exact=True)).to_be_visible()
    check_page(page)


def links(answer: Any) -> dict[str, str]:
    """Those that an error's page offers, in their order; the first one is the button to press."""
    row = answer.content.decode().partition('<p class="row">')[2].partition("</p>")[0]
    found = re.findall(r'<a class="button( primary)?" href="([^"]+)">(\w+)</a>', row)
    assert [bool(first) for first, *_ in found] == [True] + [False] * (len(found) - 1)
    return {name: where for _, where, name in found}


def test_a_page_that_is_not_there_leads_to_those_that_are(ledger_db: str) -> None:
    ana = person("ana")
    assert links(ana.get("/jobs/99")) == {"Jobs": "/jobs"}
    from_list = ana.get("/jobs/99", headers={"referer": "http://testserver/jobs?q=x#a"})
    assert links(from_list) == {"Jobs": "/jobs", "Back": "/jobs?q=x"}
    for elsewhere in ("https://evil.example/jobs", "http://testserver/jobs/99", "http://["):
        assert links(ana.get("/jobs/99", headers={"referer": elsewhere})) == {"Jobs": "/jobs"}


def test_what_has_failed_can_be_tried_again(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = person("ana")
    monkeypatch.setattr("joblot.web.jobs.listing", None)
    answer = ana.get("/jobs?q=x")
    assert answer.status_code == 500
    assert list(links(answer).items()) == [("Retry", "/jobs?q=x"), ("Jobs", "/jobs")]


def test_the_theme_is_kept(page: Page, sqlite_only: str) -> None:
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_the_switches_work_without_javascript(
    visit: Callable[..., Visit], token_file: Path, sqlite_only: str
) -> None:
    page = visit(java_script_enabled=False).enter(token_file)
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Local", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-clock", "local")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_times_are_shown_in_the_zone_that_is_preferred(page: Page, sqlite_only: str) -> None:
    submit("tiles", keys(1), pipeline="p")
    page.reload()
    time = page.locator("time").first
    title = time.get_attribute("title")
    assert title is not None
    assert title.endswith(" UTC")
    page.get_by_role("button", name="Local", exact=True).click()
    expect(time).not_to_have_attribute("title", title)
    page.get_by_role("button", name="UTC").click()
    expect(time).to_have_attribute("title", title)


def test_keys_move_and_open_and_can_be_turned_off(page: Page, sqlite_only: str) -> None:
    jobs = [submit(f"job {n}", keys(1), pipeline="p") for n in range(3)]
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("tr.current")).to_contain_text("job 1")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{jobs[1].pk}")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Turn these keys off").click()
    expect(page.locator("html")).to_have_attribute("data-keys", "off")
    page.keyboard.press("j")
    expect(page.locator("tr.current")).to_have_count(0)


def test_every_control_is_reached_with_tab_and_shows_the_focus(
    page: Page, sqlite_only: str
) -> None:
    submit("tiles", keys(1), pipeline="p")
    page.reload()
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, button, input:not([type=hidden]), summary')]"
        ".filter(e => e.checkVisibility()).length"
    )
    seen: list[Any] = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                "return [e.outerHTML, s.outlineStyle, s.outlineWidth] })()"
            )
        )
    assert len({one[0] for one in seen}) == wanted
    assert {(one[1], one[2]) for one in seen} == {("solid", "2px")}


@pytest.mark.parametrize("media", ["screen", "print"])
def test_print_has_no_navigation(page: Page, sqlite_only: str, media: Any) -> None:
    page.emulate_media(media=media)
    assert page.get_by_role("navigation", name="Main").is_visible() == (media == "screen")
