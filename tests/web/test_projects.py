"""The menu of projects in the header, and the other ways that lead to the jobs of somebody."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import expect

from joblot import operator_name
from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.web.browser import Visit, check_page
from tests.web.people import PASSWORD, person
from tests.web.test_jobs import shown


def menu(client: Client, where: str) -> dict[str, str]:
    """Where each project of the menu leads; empty if there is no menu."""
    html = client.get(where).content.decode().partition("data-menu")[2].partition("</details>")[0]
    return {unescape(name): unescape(url) for url, name in _LINK.findall(html)}


_LINK = re.compile(r'<a href="([^"]+)"[^>]*>([^<]+)</a>')


@pytest.fixture
def made(ledger_db: str) -> dict[str, int]:
    """A job in each of three projects, by the project's name."""
    return {
        name: submit(f"job of {name}", keys(1), pipeline="p", project=name, actor=f"in {name}").pk
        for name in ("alps", "ural", "a b")
    }


def test_it_names_the_projects_that_a_person_sees(made: dict[str, int]) -> None:
    assert list(menu(person("ana"), "/jobs")) == ["All projects", "a b", "alps", "ural"]
    assert list(menu(person("bob", "reader", "ural", "alps"), "/jobs")) == [
        *("All projects", "alps", "ural")
    ]


def test_there_is_none_for_a_single_project(made: dict[str, int]) -> None:
    assert menu(person("eve", "reader", "ural"), "/jobs") == {}


@pytest.mark.parametrize("projects", [(), ("alps", "a b", "ural")])
def test_it_says_if_there_are_more_than_it_lists_and_leads_to_them(
    made: dict[str, int], configure: Callable[..., None], projects: tuple[str, ...]
) -> None:
    configure(projects_listed_max=2)
    ana = person("ana", "reader", *projects)
    html = ana.get("/jobs?q=job&project=alps").content.decode()
    assert list(menu(ana, "/jobs")) == ["All projects", "a b", "alps"]
    form = html.partition('class="menu-more"')[2].partition("</form>")[0]
    assert "The first 2 are listed. Another project:" in form
    assert re.findall(r'name="([^"]+)" value="([^"]+)"', form) == [("q", "job")]
    assert 'name="project"' in form
    assert shown(ana, "/jobs?q=job&project=ural") == [made["ural"]]
    configure(projects_listed_max=3)
    assert "menu-more" not in ana.get("/jobs").content.decode()


def test_it_keeps_the_filter_and_the_order_of_the_list(made: dict[str, int]) -> None:
    ana = person("ana")
    where = menu(ana, "/jobs?status=pending&q=job&sort=name&project=alps")
    assert where["ural"] == "/jobs?status=pending&q=job&sort=name&project=ural"
    assert where["All projects"] == "/jobs?status=pending&q=job&sort=name"
    assert where["a b"].endswith("project=a+b")
    assert shown(ana, where["ural"]) == [made["ural"]]
    assert shown(ana, where["a b"]) == [made["a b"]]


def test_it_begins_with_the_first_page(made: dict[str, int]) -> None:
    """A cursor belongs to the list that it was made for."""
    assert menu(person("ana"), "/jobs?after=W251bGwsOV0")["ural"] == "/jobs?project=ural"


@pytest.mark.parametrize("where", ["/jobs/{}", "/jobs/{}/items", "/workers"])
def test_from_other_pages_it_leads_to_the_list(made: dict[str, int], where: str) -> None:
    assert menu(person("ana"), where.format(made["alps"]))["ural"] == "/jobs?project=ural"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("/jobs", "All projects"),
        ("/jobs?project=alps", "alps"),
        ("/jobs?project=alps,ural", "2 projects"),
        ("/jobs/{}", "alps"),
        ("/workers", "All projects"),
    ],
)
def test_it_says_where_one_is(made: dict[str, int], where: str, said: str) -> None:
    html = person("ana").get(where.format(made["alps"])).content.decode()
    assert f'aria-label="Project: {said}"' in html


def test_the_owner_is_shown_and_filtered_by(made: dict[str, int]) -> None:
    ana = person("ana")
    assert 'href="/jobs?owner=in%20alps"' in ana.get("/jobs").content.decode()
    assert shown(ana, "/jobs?owner=in%20alps") == [made["alps"]]
    assert ana.get("/jobs/counts?owner=in%20alps").json()["PENDING"] == "1"


def test_my_jobs_are_those_that_i_have_submitted(made: dict[str, int]) -> None:
    mine = submit("mine", keys(1), pipeline="p", actor="ana")
    ana = person("ana")
    assert 'href="/jobs?q=mine&amp;owner=me"' in ana.get("/jobs?q=mine").content.decode()
    assert shown(ana, "/jobs?owner=me") == [mine.pk]
    assert ana.get("/jobs/counts?owner=me").json()["PENDING"] == "1"
    assert shown(person("bob"), "/jobs?owner=me") == []


def test_webhooks_are_in_the_navigation_of_administrators(ledger_db: str) -> None:
    link = 'href="/webhooks"'
    assert link in person("ana", "operator").get("/jobs").content.decode()
    assert link not in person("bob", "reader").get("/jobs").content.decode()
    assert link not in person("eve", "operator", "alps").get("/jobs").content.decode()


# In a browser


def test_this_machines_user_also_owns_what_the_command_line_submits(
    visit: Callable[..., Visit], token_file: Path, sqlite_only: str
) -> None:
    for name in (operator_name.operator(), "local", "another"):
        submit(f"by {name}", keys(1), pipeline="p", actor=name)
    page = visit().enter(token_file)
    page.get_by_role("link", name="My jobs").click()
    page.wait_for_url("**/jobs?owner=me")
    expect(page.locator("[data-row]")).to_have_count(2)
    expect(page.get_by_role("link", name="My jobs")).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_menu_works_with_the_keyboard_and_without_javascript(
    visit: Callable[..., Visit], made: dict[str, int], scripts: bool
) -> None:
    person("ana", "reader", "alps", "ural")
    window = visit(java_script_enabled=scripts)
    page = window.sign_in("ana", PASSWORD)
    page.goto("/jobs?q=job")
    page.locator("details.menu summary").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="ural", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs?q=job&project=ural")
    expect(page.locator("[data-row]")).to_have_count(1)
    if scripts:
        page.locator("details.menu summary").click()
        check_page(page)
        page.keyboard.press("Escape")
        expect(page.locator("details.menu")).not_to_have_attribute("open", "")
