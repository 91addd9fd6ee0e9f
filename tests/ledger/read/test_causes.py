"""Failures by cause: exact counts, examples, the workers; in one snapshot, at a bounded cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound, PermanentError
from joblot.fingerprint import cause_of
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.read.causes import causes
from joblot.ledger.read.items import items
from joblot.ledger.report.hooks import on_result
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.models import Attempt, Outcome
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, counts, fail, keys, succeed

FAILURES = 1_000
MESSAGES = {
    0: ("OSError", "no such file: '/data/{n}.jpg'"),
    1: ("OSError", "disk {n} is full"),
    2: ("ValueError", "item {n} is too dark"),
}


def failed_job(items_total: int = FAILURES) -> Any:
    """A third of the items fails for each cause, the last one by way of another worker."""
    job = submit("broken", keys(items_total), pipeline="p")
    done = 0
    while done < items_total:
        lease = worker.lease(limit=100, worker="cpu-1" if done < items_total // 2 else "gpu-7")
        given = [(n, *MESSAGES[n % 3]) for n in worker.numbers(lease)]
        results = [
            failure(n, kind, text.format(n=n), traceback=f"line {n}") for n, kind, text in given
        ]
        report(lease.token, results)
        done += len(lease.items)
    return job


def test_a_thousand_failures_of_three_causes_are_three_groups(ledger_db: str) -> None:
    job = failed_job()
    found = causes(job.pk)
    assert (found["total"], found["other"]) == (FAILURES, 0)
    assert [group["items"] for group in found["causes"]] == [334, 333, 333]
    assert [group["share"] for group in found["causes"]] == [0.334, 0.333, 0.333]
    first = found["causes"][0]
    assert first["cause"] == cause_of("OSError", "no such file: '/x.jpg'")
    assert (first["type"], first["message"]) == ("OSError", "no such file: '/data/0.jpg'")
    assert first["traceback"] == "line 0"
    assert [sample["item"] for sample in first["samples"]] == [0, 3, 6, 9, 12]
    assert first["samples"][1] == {
        "item": 3,
        "key": "k3",
        "stage": "p",
        "message": "no such file: '/data/3.jpg'",
    }
    assert first["workers"] == ["cpu-1", "gpu-7"]
    assert (first["workers_total"], first["workers_of"]) == (2, 334)
    assert first["first_at"] <= first["last_at"] <= found["as_of"]


def test_the_items_of_a_cause_are_listed_page_by_page(ledger_db: str) -> None:
    job = failed_job(30)
    hex_of = cause_of("ValueError", "item 2 is too dark")
    found: list[int] = []
    after: int | None = -1
    while after is not None:
        page = items(job.pk, cause=hex_of, after=after, limit=3)
        found += [item["id"] for item in page]
        after = page.next
    assert found == list(range(2, 30, 3))
    assert items(job.pk, cause=hex_of)[0]["outcomes"][0]["error"] == {
        "type": "ValueError",
        "message": "item 2 is too dark",
        "cause": hex_of,
        "traceback": "line 2",
    }
    assert items(job.pk, cause="0" * 16) == []


def test_a_cause_is_combined_with_a_state_and_a_stage(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    job = submit("staged", keys(8), stages=TWO_STAGES)
    lease = worker.lease()
    succeed(lease, 0, 1, 2, 3)
    fail(lease, 4, 5)
    succeed(lease, 6, 7)
    fail(worker.lease("q"), 0, 7)
    bad = cause_of("Bad", "broken")
    configure(page_probe_items=2)

    def found(**asked: Any) -> list[int]:
        numbers: list[int] = []
        after: int | None = -1
        while after is not None:
            page = items(job.pk, cause=bad, after=after, **asked)
            numbers += [item["id"] for item in page]
            after = page.next
        return numbers

    assert found() == [0, 4, 5, 7]
    assert found(stage="read") == [4, 5]
    assert found(stage="save", state="failed") == [0, 7]
    assert found(state="lost") == []
    with pytest.raises(InvalidInput, match="with a cause, expected failed or lost"):
        items(job.pk, cause=bad, state="open")
    with pytest.raises(InvalidInput, match="cause: expected 16 hexadecimal digits"):
        items(job.pk, cause="bad")


def test_counts_are_those_of_the_stage_and_include_lost_items(ledger_db: str) -> None:
    job = submit("staged", keys(5), stages=TWO_STAGES, policy={"expiries_max": 1})
    lease = worker.lease(limit=3)
    succeed(lease, 0, 1)
    fail(lease, 2)
    for _ in range(4):
        expire(worker.lease(limit=1).token, "its worker died (signal 9)")
    fail(worker.lease("q"), 0)
    found = causes(job.pk)
    assert {group["type"]: group["items"] for group in found["causes"]} == {
        "Bad": 2,
        "LeaseExpired": 2,
    }
    assert found["total"] == 4
    read = causes(job.pk, stage="read")
    assert read["total"] == sum(counts(job)[name] for name in ("failed", "lost")) == 3
    save = causes(job.pk, stage="save")
    assert [(group["type"], group["items"]) for group in save["causes"]] == [("Bad", 1)]
    assert [sample["item"] for sample in save["causes"][0]["samples"]] == [0]
    assert save["causes"][0]["workers_of"] == 1


def test_what_is_beyond_the_limit_is_counted_as_other(
    ledger_db: str, configure: Callable[..., None]
) -> None:
    job = failed_job(10)
    found = causes(job.pk, limit=1)
    assert ([group["items"] for group in found["causes"]], found["other"]) == ([4], 6)
    configure(causes_max=2, cause_samples_max=1, cause_workers_items_max=2)
    found = causes(job.pk)
    assert ([group["items"] for group in found["causes"]], found["other"]) == ([4, 3], 3)
    assert {len(group["samples"]) for group in found["causes"]} == {1}
    assert {group["workers_of"] for group in found["causes"]} == {2}


def test_a_job_without_failures_has_no_causes(ledger_db: str) -> None:
    job = submit("good", keys(1), pipeline="p")
    found = causes(job.pk)
    assert (found["total"], found["causes"], found["other"]) == (0, [], 0)
    with pytest.raises(InvalidInput, match="stage: expected one of p, got 'q'"):
        causes(job.pk, stage="q")
    with pytest.raises(NotFound):
        causes(job.pk + 1)


def test_a_late_success_takes_its_item_out_of_the_group(ledger_db: str) -> None:
    job = submit("amended", keys(2), pipeline="p")
    early = worker.lease()
    expire(early.token)
    fail(worker.lease())
    assert causes(job.pk)["total"] == 2
    report(early.token, [success(0)])
    assert causes(job.pk)["total"] == 1
    outcome = Outcome.objects.get(number=0)
    assert (outcome.error_cause, outcome.error_traceback) == (None, None)


@pytest.mark.parametrize("retryable", [True, False])
def test_an_attempt_keeps_the_cause_and_the_traceback(ledger_db: str, retryable: bool) -> None:
    """Of a failure within the budget, and of one that a retry reopens."""
    job = submit("tries", keys(1), pipeline="p")
    lease = worker.lease()
    report(lease.token, [failure(0, "E", "no 1", traceback="there", retryable=retryable)])
    if not retryable:
        retry(job.pk)
    attempt = Attempt.objects.get()
    assert (attempt.error_cause, attempt.error_traceback) == (cause_of("E", "no 2"), "there")
    (item,) = items(job.pk)
    assert item["attempts"][0]["error"]["traceback"] == "there"


def test_a_result_that_the_hook_refuses_has_the_traceback_of_the_hook(ledger_db: str) -> None:
    @on_result("p")
    def too_strict(results: Any) -> None:
        raise PermanentError("row 7 is refused")

    job = submit("hooked", keys(1), pipeline="p")
    succeed(worker.lease())
    (group,) = causes(job.pk)["causes"]
    assert "in too_strict" in group["traceback"]
    assert "joblot/ledger" not in group["traceback"]
