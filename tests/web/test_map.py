"""The map of all items in a browser: what is drawn is what the database says."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Page, expect

from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.picture import Picture, picture
from joblot.ledger.read.picture_format import changes, whole
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.web.assets import asset_url
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.read.test_picture_format import mixed, of
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.web.browser import Visit, check_page
from tests.web.pictured import pictured_job

SHOWN = "[data-map][data-shown]"

# The color of items as they are on the screen, or -1 where an item is not seen.
ON_SCREEN = """numbers => {
  const map = document.querySelector("[data-map]").itemMap;
  const context = map.element.getContext("2d");
  return numbers.map(number => {
    const { x, y, size } = map.view.placeOf(number);
    const at = Math.floor(size / 2);
    return [...context.getImageData(x + at, y + at, 1, 1).data].slice(0, 3).join();
  });
}"""
COLORS = "() => document.querySelector('[data-map]').itemMap.legend.colors.map(one => one.join())"
PLACE = """number => {
  const map = document.querySelector("[data-map]").itemMap;
  const box = map.element.getBoundingClientRect();
  const { x, y, size } = map.view.placeOf(number);
  return [box.x + (x + size / 2) / devicePixelRatio, box.y + (y + size / 2) / devicePixelRatio];
}"""
VIEW = """what => {
  const map = document.querySelector("[data-map]").itemMap;
  while (map.view.zoom < what.zoom) map.view.step(1);
  while (map.view.zoom > what.zoom) map.view.step(-1);
  map.view.reveal(what.number);
  map.canvas.draw(-1);
}"""


@pytest.fixture
def page(visit: Callable[..., Visit], token_file: Path) -> Page:
    window = visit()
    window.allow("willReadFrequently")  # the test reads the canvas, which the page never does
    window.allow("status of 503")
    return window.enter(token_file)


@pytest.fixture
def large(sqlite_only: str) -> Job:
    return pictured_job(sqlite_only, 20_000)


@pytest.fixture
def job(sqlite_only: str) -> Job:
    return pictured_job(sqlite_only, 2_000)


def shown(page: Page, job: Job, query: str = "") -> Page:
    page.goto(f"/jobs/{job.pk}/map{query}")
    page.wait_for_selector(SHOWN)
    return page


def until(page: Page, condition: str) -> None:
    """Wait until an expression is true; the policy of the page forbids Playwright's own way."""
    eventually(lambda: page.evaluate(condition))


def truth(job: Job) -> dict[int, int]:
    """The codes of the settled items, from their rows."""
    with connections["sqlite"].cursor() as cursor:
        cursor.execute(f"SELECT number, state + 2 FROM joblot_outcome WHERE job_id = {job.pk}")
        return dict(cursor.fetchall())


def drawn(page: Page, numbers: list[int]) -> list[int]:
    """The codes of items by their colors on the screen."""
    colors = page.evaluate(COLORS)
    return [colors.index(color) for color in page.evaluate(ON_SCREEN, numbers)]


def test_what_is_drawn_is_what_the_database_says(page: Page, large: Job) -> None:
    shown(page, large)
    numbers = random.Random(7).sample(range(20_000), 1_000)
    settled = truth(large)
    found = dict(zip(numbers, drawn(page, numbers), strict=True))
    assert {n: code for n, code in found.items() if code >= 3} == {
        n: settled[n] for n in numbers if n in settled
    }
    assert {code for n, code in found.items() if n not in settled} <= {0, 1, 2}


def test_the_legend_counts_what_the_database_counts(page: Page, large: Job) -> None:
    shown(page, large)
    states = list(truth(large).values())
    for code, word in ((3, "succeeded"), (4, "failed"), (5, "lost")):
        count = f"{word} {states.count(code):,}"
        expect(page.get_by_role("button", name=re.compile(f"{count}$"))).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("in flight 320$"))).to_be_visible()


@pytest.mark.parametrize("zoom", [1, 4, 8, 24])
def test_a_click_opens_the_item_that_is_seen_there(page: Page, job: Job, zoom: int) -> None:
    shown(page, job)
    number = 812
    page.evaluate(VIEW, {"zoom": zoom, "number": number})
    page.route("**/items/*", lambda route: route.fulfill(body="an item"))
    page.mouse.click(*page.evaluate(PLACE, number))
    page.wait_for_url(f"**/jobs/{job.pk}/items/{number}")


def test_a_drag_moves_the_picture_and_opens_nothing(page: Page, job: Job) -> None:
    shown(page, job)
    page.evaluate(VIEW, {"zoom": 16, "number": 1_050})
    x, y = page.evaluate(PLACE, 1_050)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 30, steps=4)
    page.mouse.up()
    moved = page.evaluate(PLACE, 1_050)
    assert [round(moved[0] - x), round(moved[1] - y)] == [-60, 30]
    assert page.url.endswith("/map")


def test_the_wheel_zooms_where_it_points_and_else_scrolls_the_page(page: Page, job: Job) -> None:
    shown(page, job)
    x, y = page.evaluate(PLACE, 1_050)
    page.mouse.move(x, y)
    page.mouse.wheel(0, 120)
    until(page, "scrollY > 0")
    page.evaluate("scrollTo(0, 0)")
    page.locator("[data-canvas]").focus()
    page.mouse.wheel(0, -60)
    until(page, "document.querySelector('[data-map]').itemMap.view.zoom === 8")
    again = page.evaluate(PLACE, 1_050)
    assert abs(again[0] - x) <= 8
    assert abs(again[1] - y) <= 8


def test_the_pointer_says_what_an_item_is(page: Page, job: Job) -> None:
    shown(page, job)
    number = next(n for n, code in truth(job).items() if code == 4)
    page.evaluate(VIEW, {"zoom": 24, "number": number})
    page.mouse.move(*page.evaluate(PLACE, number))
    tip = page.locator("[data-tip]")
    expect(tip).to_contain_text(f"{number:,} of 2,000, failed")
    expect(tip).to_contain_text(f"tile-{number}")
    expect(tip).to_contain_text("TimeoutError: no answer in 30 s")
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()


def test_the_keyboard_goes_everywhere_and_says_where_it_is(page: Page, job: Job) -> None:
    shown(page, job)
    settled = truth(job)
    bad = [n for n, code in settled.items() if code in (4, 5)]
    map_, spoken = page.locator("[data-canvas]"), page.locator("[data-spoken]")
    map_.focus()
    expect(spoken).to_have_text(f"Item 0 of 2,000, {_word(settled[0])}, tile-0")
    for key, number in (("ArrowRight", 1), ("ArrowDown", 101), ("ArrowLeft", 100), ("ArrowUp", 0)):
        page.keyboard.press(key)
        expect(spoken).to_contain_text(f"Item {number:,} of 2,000")
    page.keyboard.press("End")
    expect(spoken).to_have_text("Item 1,999 of 2,000, ready, tile-1999")
    for number in sorted(bad)[:3]:
        page.keyboard.press("f")
        error = "TimeoutError" if settled[number] == 4 else "LeaseExpired"
        word = _word(settled[number])
        expect(spoken).to_have_text(f"Item {number:,} of 2,000, {word}, {error}, tile-{number}")
    page.keyboard.press("F")
    expect(spoken).to_contain_text(f"Item {sorted(bad)[1]:,} of 2,000")
    for key, zoom in (("+", 8), ("+", 16), ("-", 8), ("0", 4)):
        page.keyboard.press(key)
        until(page, f"document.querySelector('[data-map]').itemMap.view.zoom === {zoom}")
    page.route("**/items/*", lambda route: route.fulfill(body="an item"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/items/{sorted(bad)[1]}")


def _word(code: int) -> str:
    return {3: "succeeded", 4: "failed", 5: "lost"}[code]


def test_a_legend_button_dims_the_others(page: Page, job: Job) -> None:
    shown(page, job)
    settled = truth(job)
    failed = next(n for n, code in settled.items() if code == 4)
    well = next(n for n, code in settled.items() if code == 3)
    before = page.evaluate(ON_SCREEN, [failed, well])
    page.get_by_role("button", name=re.compile("^failed")).click()
    until(page, f"({ON_SCREEN})([{well}])[0] !== '{before[1]}'")
    assert page.evaluate(ON_SCREEN, [failed])[0] == before[0]
    page.get_by_role("button", name=re.compile("^failed")).click()
    until(page, f"({ON_SCREEN})([{well}])[0] === '{before[1]}'")


def test_one_failure_is_seen_at_the_smallest_zoom(page: Page, sqlite_only: str) -> None:
    job = submit("one", keys(2_000), pipeline="p")
    worker.fail(worker.lease("p", 1))
    shown(page, job)
    page.evaluate(VIEW, {"zoom": 0.25, "number": 0})
    assert drawn(page, [0]) == [4]
    expect(page.locator("[data-scale]")).to_contain_text("One ")


def test_changes_are_drawn_without_the_whole_picture(
    page: Page, large: Job, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=0.2)
    fetched: list[str] = []
    page.on("request", lambda one: fetched.append(one.url) if "map.bin" in one.url else None)
    shown(page, large)
    numbers: list[int] = []
    while len(numbers) < 2_000:
        (lease,) = claim("detect", 1_000).leases
        taken = [item.id for item in lease.items]
        report(lease.token, list(map(success, taken)))
        numbers += taken
    until(page, f"document.querySelector('[data-map]').itemMap.layers.cells[{numbers[-1]}] === 3")
    page.wait_for_selector("[data-shown=changes]")
    assert set(drawn(page, numbers)) == {3}
    assert [url for url in fetched if "base=" not in url] == fetched[:1]
    found = picture(large.pk)
    expect(page.get_by_role("button", name=f"{found.counts[3]:,}")).to_be_visible()


def test_the_map_goes_on_after_the_server_was_away(
    page: Page, visit: Any, job: Job, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=0.2)
    shown(page, job)
    page.route("**/map.bin*", lambda route: route.fulfill(status=503, json={"detail": "Busy."}))
    expect(page.locator("[data-note]")).to_have_text("Not live: Busy.")
    page.unroute("**/map.bin*")
    expect(page.locator("[data-note]")).to_be_hidden(timeout=30_000)


def test_a_canceled_job_gets_its_own_legend(
    page: Page, sqlite_only: str, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=0.2)
    job = submit("ten", keys(10), pipeline="p")
    worker.lease("p", 4)
    shown(page, job)
    cancel(job.pk, grace_seconds=0)
    sweep()
    expect(page.get_by_role("button", name="canceled in flight 4")).to_be_visible()
    expect(page.get_by_role("button", name="canceled before start 6")).to_be_visible()


def test_the_map_is_accessible(page: Page, job: Job) -> None:
    check_page(shown(page, job))
    check_page(shown(page, job, "?stage=detect"))


def test_a_job_without_items_is_an_empty_map(page: Page, sqlite_only: str) -> None:
    job = submit("none", [], pipeline="p", seal=False)
    check_page(shown(page, job))
    page.locator("[data-canvas]").focus()
    page.keyboard.press("f")
    expect(page.locator("[data-spoken]")).to_have_text("No item has failed or was lost.")


def test_the_table_works_without_javascript(
    visit: Callable[..., Visit], token_file: Path, job: Job
) -> None:
    page = visit(java_script_enabled=False).enter(token_file)
    page.goto(f"/jobs/{job.pk}/map")
    expect(page.get_by_role("link", name="1,240–1,259")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^in flight 320"))).to_be_visible()


def test_the_colors_follow_the_theme(page: Page, job: Job) -> None:
    shown(page, job)
    light = page.evaluate(ON_SCREEN, [0])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    until(page, f"({ON_SCREEN})([0])[0] !== '{light[0]}'")
    assert page.evaluate(ON_SCREEN, [0]) == ["79,114,167"]


def test_a_finger_first_asks_and_then_opens(
    visit: Callable[..., Visit], token_file: Path, job: Job
) -> None:
    phone = visit(viewport={"width": 360, "height": 740}, has_touch=True, device_scale_factor=3)
    page = shown(phone.enter(token_file), job)
    page.evaluate(VIEW, {"zoom": 24, "number": 812})
    page.route("**/jobs/*/items/*", lambda route: route.fulfill(body="an item"))
    place = page.evaluate(PLACE, 812)
    page.touchscreen.tap(*place)
    expect(page.locator("[data-tip]")).to_contain_text("812 of 2,000")
    page.touchscreen.tap(*place)
    page.wait_for_url("**/items/812")


DECODE = """async ({ url, body, base }) => {
  const { decode } = await import(url);
  const bytes = text => Uint8Array.from(atob(text), one => one.charCodeAt(0));
  const found = decode(bytes(body).buffer, base === null ? null : bytes(base));
  let cells = "";
  for (let n = 0; n < found.cells.length; n += 8192) {
    cells += String.fromCharCode(...found.cells.subarray(n, n + 8192));
  }
  return { ...found, cells: btoa(cells), asOf: found.asOf.toISOString() };
}"""


def decoded_in(page: Page, body: bytes, base: bytes | None = None) -> dict[str, Any]:
    as_text = {"body": body, "base": base}
    given = {k: v if v is None else base64.b64encode(v).decode() for k, v in as_text.items()}
    found: dict[str, Any] = page.evaluate(DECODE, {"url": asset_url("map/decode.js"), **given})
    return {**found, "cells": base64.b64decode(found["cells"])}


def _pictures() -> dict[str, Picture]:
    chance = random.Random(7)
    return {
        "none": of(b""),
        "one": of(b"\x05"),
        "packed": of(bytes(chance.choices(range(8), k=1_003))),
        "runs": of(mixed(0.01)[:300_001]),
        "long runs": of(bytes(3_000_000) + b"\x04"),
    }


def test_the_script_reads_the_bytes_as_they_were_written(page: Page, sqlite_only: str) -> None:
    for name, one in _pictures().items():
        found = decoded_in(page, whole(one))
        assert found["cells"] == one.cells, name
        assert (found["counts"], found["run"], found["legend"]) == (list(one.counts), 3, 0)
        assert found["asOf"] == "2026-11-24T00:12:00.000Z"


def test_the_script_makes_the_changes_as_they_were_written(page: Page, sqlite_only: str) -> None:
    chance = random.Random(7)
    before = of(bytes(chance.choices(range(8), k=50_000)))
    after = of(bytes(chance.choice((one, one, 3)) for one in before.cells))
    body = changes(before, after, most=50_000)
    assert body is not None
    assert decoded_in(page, body, before.cells)["cells"] == after.cells
