"""Pages on paper: their numbers, of when and where they are, in light colors, and no navigation."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from joblot.ledger.rows.log import log
from joblot.ledger.rows.workers import seen
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import receipts
from tests.polling import eventually
from tests.web.browser import Visit

NAVIGATION = ("Skip to the content", "Sign out", "Keyboard", "Filter", "Older", "Auto")
# Of the pages; with what is on them.
PAGES = {
    "/jobs": ("tiles", "1 of 40"),
    "/jobs/{job}": ("tiles", "= 40", "20 failed or lost items", "counted", "slow tile"),
    "/jobs/{job}/items?state=failed": ("tile/19", "Broken", "state: failed"),
    "/jobs/{job}/items/3": ("Item 3", "tile/3", "Broken", "counted", "slow tile", '"n": 3'),
    "/jobs/{job}/logs": ("slow tile", "warning"),
    "/jobs/{job}/map": ("By blocks of items", "succeeded", "20"),
    "/workers": ("gpu-7", "Holds until"),
}


@pytest.fixture
def job(ledger_db: str) -> Job:
    """20 of 40 items failed, one succeeded."""
    items = [{"key": f"tile/{n}", "payload": {"n": n}} for n in range(40)]
    job = submit("tiles", items, pipeline="p")
    seen(0, "gpu-7")
    lease = worker.lease("p", 30, worker="gpu-7", owner=0)
    receipts(lease, *(failure(n, "Broken", f"tile {n}") for n in range(20)), success(20))
    log(job.pk, "slow tile", level="warning", number=3)
    return job


def printed(page: Page) -> str:
    pdf = PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True)))
    return re.sub(r"\s+", " ", " ".join(sheet.extract_text() for sheet in pdf.pages))


@pytest.mark.parametrize("where", PAGES)
def test_a_page_is_printed_with_its_numbers_and_without_navigation(
    page: Page, job: Job, where: str
) -> None:
    page.goto(where.format(job=job.pk))
    text = printed(page)
    assert [one for one in PAGES[where] if one not in text] == []
    assert [one for one in NAVIGATION if one in text] == []
    assert page.url in text.replace(" ", "")
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)


def test_numbers_that_came_later_are_printed_with_their_own_time(
    page: Page, job: Job, configure: Callable[..., None]
) -> None:
    configure(live_seconds=0.05)
    page.goto(f"/jobs/{job.pk}")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    time = page.locator(".printed time")
    first = time.get_attribute("datetime")
    receipts(worker.lease("p", 1), *(success(30),))
    expect(page.locator("[data-f='stages.0.succeeded']")).to_have_text("2")
    eventually(lambda: time.get_attribute("datetime") != first)


def pixels(page: Page) -> dict[str, int]:
    """How often each color is in the map's canvas."""
    found: dict[str, int] = page.evaluate(
        """() => {
            const canvas = document.querySelector("[data-canvas]");
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const counts = {};
            for (let at = 0; at < data.length; at += 4) {
                const color = [...data.slice(at, at + 3)].join();
                counts[color] = (counts[color] ?? 0) + 1;
            }
            return counts;
        }"""
    )
    return found


def test_a_dark_page_is_printed_in_light_colors_and_stays_dark(
    visit: Callable[..., Visit], token_file: Path, job: Job
) -> None:
    window = visit(color_scheme="dark")
    window.allow("willReadFrequently")  # the test reads the canvas, which the page never does
    page = window.enter(token_file)
    page.goto(f"/jobs/{job.pk}/map")
    expect(page.locator("[data-map][data-shown]")).to_be_visible()
    dark, light = "244,112,96", "162,11,2"  # of what failed
    eventually(lambda: dark in pixels(page))
    page.evaluate(
        """() => addEventListener("beforeprint", () => {
            window.while_printed = getComputedStyle(document.body).backgroundColor;
        }, {once: true})"""
    )
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert light in pixels(page)
    assert dark not in pixels(page)
    assert page.evaluate("window.while_printed") == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    eventually(lambda: dark in pixels(page))
    page.emulate_media(media="print")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
