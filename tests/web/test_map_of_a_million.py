"""The map of a million real items, in a browser."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections
from playwright.sync_api import Page

from joblot.ledger.claim.claim import claim
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.models import Job
from joblot.wire import success
from tests import databases
from tests.polling import eventually
from tests.web.browser import Visit
from tests.web.pictured import pictured_job

MILLION = 1_000_000
BYTES_MAX = 400_000
# Ten times what it takes on a quiet machine with two cores; bench/picture.py measures it.
PAINTED_SECONDS_MAX = 10.0
CODES = """numbers => {
  const { layers, legend } = document.querySelector("[data-map]").itemMap;
  const context = layers.image(0).getContext("2d");
  const colors = legend.colors.map(one => one.join());
  return numbers.map(number => {
    const at = [number % layers.columns, Math.floor(number / layers.columns)];
    return colors.indexOf([...context.getImageData(...at, 1, 1).data].slice(0, 3).join());
  });
}"""


@pytest.fixture
def page(million: Job, visit: Callable[..., Visit], token_file: Path) -> Page:
    """Closed before the tables are emptied: a page that asks then gets an error."""
    window = visit()
    window.allow("willReadFrequently")  # the test reads the canvas, which the page never does
    return window.enter(token_file)


@pytest.fixture
def million(sqlite_only: str) -> Iterator[Job]:
    yield pictured_job(sqlite_only, MILLION)
    databases.empty(sqlite_only)  # the audit after each test would read all of it


def truth(job: Job, numbers: list[int]) -> dict[int, int]:
    """The codes of those of these items that are settled."""
    with connections["sqlite"].cursor() as cursor:
        cursor.execute(
            f"SELECT number, state + 2 FROM joblot_outcome WHERE job_id = {job.pk} AND stage = 0 "
            f"AND number IN ({', '.join(map(str, numbers))})"
        )
        return dict(cursor.fetchall())


def test_a_million_items_are_drawn_as_they_are_and_kept_up_to_date(
    page: Page, million: Job, configure: Callable[..., None]
) -> None:
    configure(picture_rest_factor_min=1.0)  # or a busy machine rests twenty times longer, too
    fetched: list[str] = []
    sizes: list[int] = []
    page.on("request", lambda one: fetched.append(one.url) if "map.bin" in one.url else None)
    page.on(
        "requestfinished",
        lambda one: sizes.append(one.sizes()["responseBodySize"]) if "map.bin" in one.url else None,
    )
    page.goto(f"/jobs/{million.pk}/map")
    page.wait_for_selector("[data-map][data-shown]")
    (painted,) = page.evaluate(
        "performance.getEntriesByName('joblot-map-painted').map(one => one.duration)"
    )
    assert painted < PAINTED_SECONDS_MAX * 1_000
    eventually(lambda: sizes)
    assert 0 < sizes[0] <= BYTES_MAX

    numbers = random.Random(7).sample(range(MILLION), 1_000)
    found = dict(zip(numbers, page.evaluate(CODES, numbers), strict=True))
    settled = truth(million, numbers)
    assert {n: code for n, code in found.items() if code >= 3} == settled
    assert set(found.values()) >= {0, 3, 4}

    counts = page.locator("[data-code] [data-count]").all_text_contents()
    stage = progress(million.pk)["stages"][0]
    assert counts[:3] == [f"{stage[name]:,}" for name in ("succeeded", "failed", "lost")]

    changed = _settle(2_000)
    began = time.monotonic()
    eventually(lambda: page.evaluate(CODES, changed[-1:]) == [3])
    assert time.monotonic() - began < PAINTED_SECONDS_MAX
    assert set(page.evaluate(CODES, changed)) == {3}
    assert [url for url in fetched if "base=" not in url] == fetched[:1]
    assert max(sizes[1:]) < 20_000


def _settle(least: int) -> list[int]:
    numbers: list[int] = []
    while len(numbers) < least:
        (lease,) = claim("detect", 1_000).leases
        taken = [item.id for item in lease.items]
        report(lease.token, list(map(success, taken)))
        numbers += taken
    return numbers
