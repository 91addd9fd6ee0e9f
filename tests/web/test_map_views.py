"""The addresses of a map: its bytes, what browsers may keep of them, its page and its items."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.job.retry import retry
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.picture import picture
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.read.decoded_picture import decoded
from tests.ledger.worker import TWO_STAGES, keys
from tests.web.people import person


@pytest.fixture
def job(ledger_db: str) -> Job:
    """Of 250 items, 0 to 4 succeeded in the first stage, 5 failed, and 6 to 9 are in flight."""
    job = submit("night", keys(250), stages=TWO_STAGES)
    lease = worker.lease("p", 10)
    worker.receipts(lease, *map(success, range(5)), failure(5, "TimeoutError", "too slow"))
    return job


@pytest.fixture
def ana(ledger_db: str) -> Client:
    return person("ana")


def test_the_bytes_are_those_of_the_picture(job: Job, ana: Client) -> None:
    answer = ana.get(f"/jobs/{job.pk}/map.bin")
    assert answer["Content-Type"] == "application/vnd.joblot.map"
    assert decoded(answer.content).cells == picture(job.pk).cells
    staged = ana.get(f"/jobs/{job.pk}/map.bin?stage=save")
    assert decoded(staged.content).cells == picture(job.pk, stage="save").cells
    part = ana.get(f"/jobs/{job.pk}/map.bin?range=4-8")
    assert decoded(part.content).cells == picture(job.pk, first=4, last=8).cells


def test_a_browser_that_has_the_picture_is_not_sent_it_again(job: Job, ana: Client) -> None:
    first = ana.get(f"/jobs/{job.pk}/map.bin")
    again = ana.get(f"/jobs/{job.pk}/map.bin", headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert first["Cache-Control"] == "private, no-cache"


def test_changes_come_with_the_tag_of_what_they_lead_to(
    job: Job, ana: Client, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=1e-9, picture_rest_factor_min=1e-9)
    first = ana.get(f"/jobs/{job.pk}/map.bin")
    worker.lease("p", 20)
    base = first["ETag"].strip('"')
    changed = ana.get(f"/jobs/{job.pk}/map.bin?base={base}")
    found = decoded(changed.content, decoded(first.content).cells)
    assert (found.encoding, found.cells) == (2, picture(job.pk).cells)
    assert changed["ETag"] != first["ETag"]
    assert changed["ETag"] == ana.get(f"/jobs/{job.pk}/map.bin")["ETag"]


def test_the_picture_of_a_job_that_has_ended_is_kept_under_its_version(
    ledger_db: str, ana: Client
) -> None:
    job = submit("two", keys(2), pipeline="p")
    worker.receipts(worker.lease("p"), success(0), failure(1, "Bad"))
    page = ana.get(f"/jobs/{job.pk}/map").content.decode()
    (url,) = re.findall(r'data-url="([^"]+)"', page)
    assert url == f"/jobs/{job.pk}/map.bin?v=1.1"
    answer = ana.get(url)
    assert (answer["Joblot-Map"], "immutable" in answer["Cache-Control"]) == ("final", True)
    assert "immutable" not in ana.get(f"/jobs/{job.pk}/map.bin?v=1.2")["Cache-Control"]
    assert "immutable" not in ana.get(f"/jobs/{job.pk}/map.bin")["Cache-Control"]


def test_a_retried_or_canceled_job_is_not_kept(
    ledger_db: str, ana: Client, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=1e-9, picture_rest_factor_min=1e-9)
    job = submit("two", keys(2), pipeline="p")
    worker.receipts(worker.lease("p"), success(0), failure(1, "Bad"))
    retry(job.pk)
    assert ana.get(f"/jobs/{job.pk}/map.bin?v=1.1")["Cache-Control"] == "private, no-cache"
    cancel(job.pk, grace_seconds=0)
    sweep()
    assert ana.get(f"/jobs/{job.pk}/map.bin?v=2.1")["Cache-Control"] == "private, no-cache"


def test_the_table_counts_each_block_and_links_to_its_items(job: Job, ana: Client) -> None:
    page = ana.get(f"/jobs/{job.pk}/map").content.decode()
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.DOTALL)
    assert len(rows) == 84  # of three items each
    assert f'<a href="/jobs/{job.pk}/items?state=failed&amp;range=3-5">1</a>' in rows[1]
    counts = [re.sub(r"<[^>]*>", " ", row).split()[1:] for row in rows]
    columns = re.findall(r'<th scope="col" class="num">([^<]*)</th>', page)
    assert columns == ["failed", "in flight", "ready"]
    sums = [sum(map(int, column)) for column in zip(*counts, strict=True)]
    assert sums == [1, 4, 245]
    staged = ana.get(f"/jobs/{job.pk}/map?stage=read").content.decode()
    assert f"/jobs/{job.pk}/items?stage=read&amp;state=succeeded&amp;range=0-2" in staged


def test_the_stages_can_be_chosen(job: Job, ana: Client) -> None:
    page = ana.get(f"/jobs/{job.pk}/map?stage=save").content.decode()
    assert "not here yet" in page
    assert re.search(r'href="/jobs/\d+/map\?stage=save" aria-current="true"', page)


def test_a_job_that_is_too_large_is_shown_in_parts(
    job: Job, ana: Client, configure: Callable[..., None]
) -> None:
    configure(picture_items_max=100)
    page = ana.get(f"/jobs/{job.pk}/map").content.decode()
    assert f'data-url="/jobs/{job.pk}/map.bin?range=0-99"' in page
    assert f'<a href="/jobs/{job.pk}/map?range=200-249">200 to 249</a>' in page
    assert len(decoded(ana.get(f"/jobs/{job.pk}/map.bin?range=200-").content).cells) == 50


@pytest.mark.parametrize("text", ["x", "-", "1-2-3", "٣-4", "1.5-2"])
def test_a_range_that_is_none_is_refused(job: Job, ana: Client, text: str) -> None:
    answer = ana.get(f"/jobs/{job.pk}/map.bin", {"range": text}, headers={"accept": "*/*"})
    assert answer.status_code == 422
    assert "range: expected a range such as" in answer.json()["detail"]


def test_an_unknown_stage_is_refused_with_those_that_exist(job: Job, ana: Client) -> None:
    answer = ana.get(f"/jobs/{job.pk}/map.bin?stage=nowhere", headers={"accept": "*/*"})
    assert "expected one of read, save" in answer.json()["detail"]


def test_an_item_has_its_key_and_its_error(job: Job, ana: Client) -> None:
    failed = ana.get(f"/jobs/{job.pk}/map/items/5").json()
    assert (failed["key"], failed["error"]["type"]) == ("k5", "TimeoutError")
    assert ana.get(f"/jobs/{job.pk}/map/items/9").json() == {"key": "k9", "error": None}
    assert ana.get(f"/jobs/{job.pk}/map/items/250").status_code == 404
