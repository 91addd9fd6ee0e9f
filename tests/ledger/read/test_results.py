"""Results of any job in any status, page by page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.results import results, results_page
from joblot.ledger.report.report import report
from joblot.ledger.rows.outputs import storage
from joblot.ledger.submit.submit import submit
from joblot.models import Outcome
from joblot.wire import Result, failure, success
from tests.ledger.worker import keys


@pytest.fixture(autouse=True)
def outputs(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path)


TWO = [{"name": "one", "pipeline": "a"}, {"name": "two", "pipeline": "b"}]


def work(pipeline: str, *made: Result) -> None:
    (lease,) = claim(pipeline).leases
    report(lease.token, list(made))


def test_a_result_is_of_the_last_stage_or_of_the_one_that_failed(ledger_db: str) -> None:
    job = submit("j", keys(3), stages=TWO).pk
    work("a", success(0, "a0"), success(1, "a1"), failure(2, "E", "no"))
    work("b", success(0, "b0"))
    rows = list(results(job))
    assert [(row["item"], row["state"], row["output"]) for row in rows] == [
        (0, "succeeded", "b0"),
        (1, "open", None),
        (2, "failed", None),
    ]
    assert (rows[2]["error"]["type"], rows[2]["error"]["message"]) == ("E", "no")
    one = [(row["state"], row["output"]) for row in results(job, stage="one")]
    assert one == [("succeeded", "a0"), ("succeeded", "a1"), ("failed", None)]
    two = [row["state"] for row in results(job, stage="two")]
    assert two == ["succeeded", "open", "skipped"]
    assert [row["item"] for row in results(job, state="failed")] == [2]


def test_pages_follow_each_other_and_end_early_for_large_outputs(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    job = submit("j", keys(5), pipeline="p").pk
    configure(output_bytes_inline_max=10, results_page_items=4, results_page_bytes=150)
    work("p", *(success(n, "x" * 100) for n in range(5)))
    page = results_page(job)
    assert [row["item"] for row in page] == [0, 1]
    assert page.next == 1
    assert [row["output"] for row in results(job)] == ["x" * 100] * 5


def test_an_output_whose_file_is_gone_is_an_error_of_its_item(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    job = submit("j", keys(2), pipeline="p").pk
    configure(output_bytes_inline_max=10)
    work("p", success(0, "x" * 100), success(1, "y"))
    storage().delete(Outcome.objects.using(ledger_db).get(number=0).output_ref)
    first, second = results(job)
    assert (first["output"], first["error"]["type"]) == (None, "NotFound")
    assert second["output"] == "y"


def test_an_unknown_job_state_or_stage_is_refused(ledger_db: str) -> None:
    job = submit("j", keys(1), pipeline="p").pk
    with pytest.raises(NotFound):
        list(results(job + 1))
    with pytest.raises(InvalidInput):
        list(results(job, state="gone"))
    with pytest.raises(InvalidInput):
        list(results(job, stage="gone"))
