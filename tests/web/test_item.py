"""The page of one item: its values, its tries and receipts, its log, and the way to others."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, receipts, succeed
from tests.polling import eventually
from tests.web.browser import check_page
from tests.web.people import person

HUGE = 5_000_000  # characters of an output

BLOCKS = "#output-1 ~ .value pre code"
# How many blocks of text are added to the page by each step.
ADDED = """
    window.added = [];
    new MutationObserver((list) => {
        const texts = list.filter(
            (one) => one.target.matches?.("pre code") && one.addedNodes.length
        );
        window.added.push(...texts.map((one) => one.addedNodes.length));
    }).observe(document, {childList: true, subtree: true});
"""
# The longest block, and whether the browser lays out only those that are seen.
SHAPE = f"""(() => {{
    const blocks = [...document.querySelectorAll("{BLOCKS} .block")];
    const layouts = new Set(blocks.map((one) => getComputedStyle(one).contentVisibility));
    return [Math.max(...blocks.map((one) => one.textContent.length)), [...layouts]];
}})()"""


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana", "operator")


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Items 0 to 11; 1, 4 and 7 failed, and 0 succeeded in both stages."""
    job = submit(
        "tiles", [{"key": f"k{n}", "payload": {"n": n}} for n in range(12)], stages=TWO_STAGES
    )
    lease = worker.lease("p", 10, worker="gpu-7")
    receipts(lease, *(failure(n, "Bad", "<b>broken</b>") for n in (1, 4, 7)))
    succeed(lease, 0, 2)
    receipts(worker.lease("q", 2, worker="cpu-1"), success(0, {"sum": 3}, {"rows": 12}))
    log(job.pk, "no GPS position", level="warning", number=4)
    log(job.pk, "about another", number=5)
    return job


@pytest.fixture
def local_storage(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


def shown(client: Client, where: str, status: int = 200) -> str:
    answer = client.get(where)
    assert answer.status_code == status, answer.content
    return unescape(answer.content.decode())


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def value_of(client: Client, where: str) -> Any:
    answer = client.get(where)
    assert answer.status_code == 200, answer.content
    assert re.fullmatch(r'attachment; filename="[\w.-]+\.json"', answer["Content-Disposition"])
    return json.loads(answer.content)


def test_it_says_how_it_stands_and_leads_to_others(ana: Client, job: Job) -> None:
    page = shown(ana, f"/jobs/{job.pk}/items/4")
    assert "Failed in read: Bad" in page
    assert "gpu-7" in page
    assert "<b>broken</b>" not in ana.get(f"/jobs/{job.pk}/items/4").content.decode()
    for key, number in (("previous-failed", 1), ("next-failed", 7)):
        assert f'data-key="{key}" href="/jobs/{job.pk}/items/{number}"' in page
    for rel, number in (("prev", 3), ("next", 5)):
        assert f'rel="{rel}" href="/jobs/{job.pk}/items/{number}"' in page
    same = re.search(r'href="([^"]+cause=[^"]+)">Same cause', page)
    assert same is not None
    rows = re.findall(r'data-label="Item"><a href="[^"]*/(\d+)"', shown(ana, same[1]))
    assert rows == ["1", "4", "7"]
    assert "has no item 12" in shown(ana, f"/jobs/{job.pk}/items/12", 404)


def test_its_results_are_shown_as_json(ana: Client, job: Job) -> None:
    page = shown(ana, f"/jobs/{job.pk}/items/0")
    assert "Succeeded in all stages" in page
    assert '"sum": 3' in page
    assert '"rows": 12' in page
    raw = re.findall(r'<a href="([^"]+value\.json[^"]+)" download', page)
    assert [value_of(ana, one) for one in raw] == [{"n": 0}, None, {"sum": 3}, {"rows": 12}]


def test_a_value_that_is_not_there(ana: Client, job: Job) -> None:
    where = f"/jobs/{job.pk}/items/0/value.json"
    assert value_of(ana, where) == {"n": 0}
    for query in ("of=output&stage=none", "of=uncounted&n=0", "of=uncounted", "of=metrics"):
        assert ana.get(f"{where}?{query}").status_code == 404
    assert ana.get(f"{where}?of=secrets").status_code == 422


def test_its_receipts_are_those_that_its_workers_got(
    ana: Client, ledger_db: str, caches_kept: None
) -> None:
    job = submit("x", keys(4), pipeline="p", policy={"retry_backoff_seconds": 0})
    lease = worker.lease("p", 2, worker="gpu-7")
    assert receipts(lease, failure(0, "Slow", "…", retryable=True)) == ["requeued"]
    assert receipts(lease, success(1, "one")) == ["counted"]
    assert receipts(lease, success(1, "one")) == ["duplicate"]
    assert receipts(lease, success(1, "two")) == ["conflicting"]
    again = worker.lease("p", 1, worker="gpu-8")
    assert receipts(again, failure(0, "Bad", "broken")) == ["counted"]
    held = worker.lease("p", 1, worker="gpu-9")
    (last,) = worker.numbers(held)
    cancel(job.pk, grace_seconds=0)
    assert receipts(held, success(last, "after the end")) == ["late"]
    first = text_of(shown(ana, f"/jobs/{job.pk}/items/0"))
    assert "requeued a failure within the item's budget" in first
    assert "counted it settled the item" in first
    second = shown(ana, f"/jobs/{job.pk}/items/1")
    assert "counted it settled the item" in text_of(second)
    assert "conflicting the item had succeeded with another output, which stays" in text_of(second)
    assert "duplicate" not in second  # nothing is kept of it
    late = shown(ana, f"/jobs/{job.pk}/items/{last}")
    assert "Finished after cancel" in late
    assert "late it came when nothing counted any more" in text_of(late)
    (raw,) = re.findall(r'<a href="([^"]+of=uncounted[^"]+)" download', late)
    assert value_of(ana, raw) == "after the end"


def test_a_late_success_is_an_amendment(ana: Client, ledger_db: str) -> None:
    job = submit("x", keys(1), pipeline="p")
    lease = worker.lease("p")
    receipts(lease, failure(0, "Bad", "broken"))
    assert receipts(lease, success(0, "well")) == ["amended"]
    assert "amended the item had failed" in text_of(shown(ana, f"/jobs/{job.pk}/items/0"))


def test_its_log_has_its_own_lines_only(ana: Client, job: Job) -> None:
    page = shown(ana, f"/jobs/{job.pk}/items/4")
    assert "no GPS position" in page
    assert "about another" not in page
    assert "Nothing was logged about this item" in shown(ana, f"/jobs/{job.pk}/items/6")


def test_its_cause_is_retried_at_any_time(ana: Client, ledger_db: str) -> None:
    job = submit("x", keys(4), pipeline="p")
    lease = worker.lease("p")
    fail(lease, 1, 3)
    where = f"/jobs/{job.pk}/items/3"
    link = re.search(r'data-act href="([^"]+)">Retry all items of this cause', shown(ana, where))
    assert link is not None
    assert "They are open again in this run" in shown(ana, link[1])
    succeed(lease, 0, 2)
    link = re.search(r'data-act href="([^"]+)">Retry all items of this cause', shown(ana, where))
    assert link is not None
    assert "Retry 2 failed items of this cause" in shown(ana, link[1])
    assert "Retry all items" not in shown(person("eve", "reader"), where)


def test_a_long_value_is_cut_on_the_page_and_whole_alone(ana: Client, ledger_db: str) -> None:
    payload = {"lines": ["x" * 90] * 1_000}
    job = submit("long", [{"key": "a", "payload": payload}], pipeline="p")
    page = shown(ana, f"/jobs/{job.pk}/items/0")
    assert re.search(
        r"<details data-value-fold><summary>Payload, 9\d,\d{3} characters</summary>", page
    )
    assert len(page) < 100_000
    assert value_of(ana, f"/jobs/{job.pk}/items/0/value.json") == payload


@pytest.fixture
def huge(ledger_db: str, local_storage: None) -> Job:
    """An item whose output has five million characters, half of them in one line."""
    job = submit("huge", keys(1), pipeline="p")
    output = {"rows": ["y" * 90] * (HUGE // 180), "blob": "z" * (HUGE // 2)}
    receipts(worker.lease("p"), success(0, output))
    return job


def test_an_output_of_5_mb_is_fetched_when_opened_and_shown_a_little_at_a_time(
    page: Page, huge: Job
) -> None:
    """So no task of the browser is long; `bench/value.py` measures the longest one."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(ADDED)
    page.goto(f"/jobs/{huge.pk}/items/0")
    page.wait_for_load_state("networkidle")
    pre = page.locator("#output-1 ~ .value pre")
    assert pre.text_content() == ""
    assert not any("value.json" in url for url in asked)
    page.get_by_text("Output, stored in a file").click()
    length = f"document.querySelector('{BLOCKS}').textContent.length"
    eventually(lambda: page.evaluate(length) > HUGE)
    expect(pre).to_contain_text('"rows": [')
    assert sum("value.json" in url for url in asked) == 1
    added, longest, layout = page.evaluate(f"[window.added, ...({SHAPE})]")
    assert len(added) > 30
    assert max(added) <= 16
    assert longest <= 8_000
    assert layout == ["auto"]
    assert pre.evaluate("pre => pre.clientHeight") > 400


def test_a_value_can_be_copied(page: Page, job: Job) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/jobs/{job.pk}/items/0")
    page.get_by_role("button", name="Copy the payload").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == {"n": 0}


def test_a_long_value_is_copied_whole_where_there_is_no_clipboard(page: Page, huge: Job) -> None:
    """As on a page over plain HTTP."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script(
        "window.own = navigator.clipboard;"
        "Object.defineProperty(Navigator.prototype, 'clipboard', {get: () => undefined});"
    )
    page.goto(f"/jobs/{huge.pk}/items/0")
    page.get_by_role("button", name="Copy the output").click()
    expect(page.get_by_text("Copied.")).to_be_visible(timeout=30_000)
    assert page.evaluate("window.own.readText().then((text) => text.length)") > HUGE


def test_keys_lead_to_failed_items_and_to_the_map(page: Page, job: Job) -> None:
    page.goto(f"/jobs/{job.pk}/items/0")
    for key, number in (("f", 1), ("f", 4), ("f", 7), ("F", 4)):
        page.keyboard.press(key)
        page.wait_for_url(f"**/jobs/{job.pk}/items/{number}")
    page.keyboard.press("l")
    page.wait_for_url("**#logs")
    page.keyboard.press("m")
    page.wait_for_url(f"**/jobs/{job.pk}/map?item=4")
    expect(page.locator("[data-spoken]")).to_contain_text("Item 4 of 12, failed")


@pytest.mark.parametrize("where", ["items/4", "items/0"])
def test_everybody_can_use_the_page_of_an_item(page: Page, job: Job, where: str) -> None:
    page.goto(f"/jobs/{job.pk}/{where}")
    check_page(page)
