"""The list of items, the page of one item, and downloads of a filter."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page

from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.server.bridge import WholeResponse
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, receipts, succeed
from tests.server.served import Served
from tests.web.browser import check_page
from tests.web.people import person


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana", "operator")


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Items 0 to 11; 1, 4 and 7 failed, and some keys would be formulas."""
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", *(f"k{n}" for n in range(4, 12))]
    items = [{"key": key, "payload": {"n": n}} for n, key in enumerate(names)]
    job = submit("tiles", items, stages=TWO_STAGES)
    lease = worker.lease("p", 10, worker="gpu-7")
    receipts(lease, *(failure(n, "Bad", "<b>broken</b>") for n in (1, 4, 7)))
    succeed(lease, 0, 2)
    receipts(worker.lease("q", 2, worker="cpu-1"), success(0, {"sum": 3}, {"rows": 12}))
    return job


def shown(client: Client, where: str, status: int = 200) -> str:
    answer = client.get(where)
    assert answer.status_code == status, answer.content
    return unescape(answer.content.decode())


def ids(page: str) -> list[int]:
    found = re.findall(r'data-label="Item"><a href="/jobs/\d+/items/(\d+)"', page)
    return [int(one) for one in found]


def test_the_list_is_filtered_by_the_address(ana: Client, job: Job) -> None:
    where = f"/jobs/{job.pk}/items"
    assert ids(shown(ana, where)) == list(range(12))
    assert ids(shown(ana, f"{where}?state=failed")) == [1, 4, 7]
    assert ids(shown(ana, f"{where}?range=3-5&worker=gpu-7")) == [3, 4, 5]
    page = shown(ana, f"{where}?state=failed&range=3-")
    assert ids(page) == [4, 7]
    assert "state: failed ✕" in page
    assert f'href="{where}?range=3-"' in page
    assert "No item matches this filter" in shown(ana, f"{where}?q=nothing")
    assert ana.get(where, {"find": "state:failed k"})["Location"] == f"{where}?state=failed&q=k"


def test_a_filter_that_is_not_known_is_a_sentence_and_no_empty_table(ana: Client, job: Job) -> None:
    page = shown(ana, f"/jobs/{job.pk}/items?state=broken", 422)
    assert "state: expected one of open, ready, waiting" in page
    assert "<tbody>" not in page


def test_pages_follow_one_another(ana: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblot.web.items.ITEMS_PER_PAGE", 5)
    found: list[int] = []
    where = f"/jobs/{job.pk}/items"
    while where:
        page = shown(ana, where)
        found += ids(page)
        link = re.search(r'href="([^"]+)" rel="next"', page)
        where = link[1] if link else ""
    assert found == list(range(12))


def exported(client: Client, job: Job, kind: str, query: str = "") -> tuple[Any, str]:
    answer = client.get(f"/jobs/{job.pk}/items.{kind}{query}")
    assert answer.status_code == 200
    parts: Any = answer
    return answer, b"".join(parts.streaming_content).decode()


def test_a_csv_has_the_rows_of_the_filter_and_no_formula(ana: Client, job: Job) -> None:
    answer, text = exported(ana, job, "csv", "?state=failed")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:3] == [f"job={job.pk}", "name=tiles", "run=1"]
    assert rows[0][5] == 'filter={"state": "failed"}'
    assert rows[1][:3] == ["item", "key", "state"]
    assert [row[0] for row in rows[2:]] == ["1", "4", "7"]
    pattern = rf'attachment; filename="joblot-{job.pk}-run1-rev0-failed-\d{{8}}T\d{{4}}Z\.csv"'
    assert re.fullmatch(pattern, answer["Content-Disposition"])
    _, text = exported(ana, job, "csv", "?range=-3")
    keys = [row[1] for row in list(csv.reader(io.StringIO(text)))[2:]]
    assert keys == ["'=cmd|' /C calc'!A0", "'+1", "'-1", "'@x"]


def test_json_lines_begin_with_what_they_are(ana: Client, job: Job, configure: Any) -> None:
    configure(page_items_max=5)
    _, text = exported(ana, job, "ndjson", "?after=7")
    heading, *items = map(json.loads, text.splitlines())
    assert (heading["job"], heading["run"], heading["filter"]) == (job.pk, 1, {})
    assert [item["id"] for item in items] == list(range(12))
    assert items[0]["outcomes"][1]["output"] == {"sum": 3}
    assert ana.get(f"/jobs/{job.pk}/items.xlsx").status_code == 404
    assert ana.get(f"/jobs/{job.pk}/items.csv?state=broken").status_code == 422


def test_a_server_takes_one_page_at_a_time(ana: Client, job: Job, configure: Any) -> None:
    """So a download of any size takes a bounded memory there, too."""
    configure(page_items_max=5)
    answer = ana.get(f"/jobs/{job.pk}/items.ndjson")
    first = WholeResponse.of(answer)
    assert len(first.body.splitlines()) == 6
    assert first.follow_up is not None


def test_a_download_from_a_serving_process_is_whole(
    page: Page, served: Served, job: Job, configure: Any
) -> None:
    configure(page_items_max=5)
    answer = page.request.get(f"{served.url}/jobs/{job.pk}/items.ndjson?q=k")
    _, *items = map(json.loads, answer.text().splitlines())
    assert [item["id"] for item in items] == list(range(4, 12))


@pytest.mark.parametrize("where", ["items", "items?state=failed"])
def test_everybody_can_use_the_pages_of_items(page: Page, job: Job, where: str) -> None:
    page.goto(f"/jobs/{job.pk}/{where}")
    check_page(page)
