"""A job's log as it is read: logged lines and events in one order, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.edit import edit
from joblot.ledger.job.lifecycle import cancel, delete, pause, resume, start
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.log_lines import logs
from joblot.ledger.rows.log import Line, append, log
from joblot.ledger.submit.submit import seal, submit
from joblot.models import Event, Job, Lease, Log
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, fail, keys, succeed


def texts(job: Job, **asked: Any) -> list[str]:
    return [line["message"] for line in logs(job.pk, **asked)]


def of_events(job: Job) -> list[tuple[str, str]]:
    return [(line["level"], line["message"]) for line in logs(job.pk) if line["event"]]


def walk(job: Job, size: int, *, backwards: bool, **asked: Any) -> list[int]:
    """The ids of all lines, read page by page."""
    found: list[int] = []
    page = logs(job.pk, newest=backwards, limit=size, **asked)
    while True:
        found += [line["id"] for line in page]
        if page.next is None:
            return found
        where: dict[str, Any] = {"before": page.next} if backwards else {"after": page.next}
        page = logs(job.pk, limit=size, **where, **asked)


def test_a_line_has_its_stage_item_worker_lease_and_source(ledger_db: str) -> None:
    job = submit("lines", keys(2), stages=TWO_STAGES)
    lease = worker.lease(limit=1)
    assert log(
        job.pk,
        "slow",
        level="warning",
        stage="save",
        number=1,
        source="shop.images",
        worker="gpu-3",
        lease=lease.token,
    )
    line = logs(job.pk)[-1]
    assert line | {"id": 0, "at": ""} == {
        "id": 0,
        "run": 1,
        "stage": "save",
        "item": 1,
        "level": "warning",
        "message": "slow",
        "at": "",
        "source": "shop.images",
        "worker": "gpu-3",
        "lease": lease.token[:8],
        "event": None,
        "actor": "",
        "reason": "",
    }


def test_the_log_has_a_sentence_for_each_event(ledger_db: str) -> None:
    job = submit(
        "night", keys(2), pipeline="p", start=False, seal=False, policy={"alert_failed_items": 0}
    )
    ana: dict[str, Any] = {"actor": "ana", "reason": "disk full"}
    start(job.pk, actor="bert")
    lease = worker.lease()
    pause(job.pk, **ana)
    resume(job.pk, actor="token:ci")
    edit(job.pk, name="day", policy={"in_flight_items_max": 5}, **ana)
    succeed(lease, 0)
    fail(lease, 1)
    seal(job.pk, actor="ana")
    retry(job.pk, reason="again")
    cancel(job.pk, grace_seconds=0, **ana)
    assert of_events(job) == [
        ("info", "created"),
        ("info", "started by bert"),
        ("info", "the first lease was granted"),
        ("info", "paused by ana: disk full"),
        ("info", "resumed by token:ci"),
        (
            "info",
            (
                'edited by ana: disk full (Name from "night" to "day"; '
                "Most items in flight from none to 5)"
            ),
        ),
        ("warning", "failing (1 item failed or lost)"),
        ("info", "sealed by ana (2 items)"),
        ("warning", "ended as 'Done, not all well' (1 of 2 items succeeded)"),
        ("info", "retried, as run 2: again"),
        ("info", "run 2 started: again"),
        ("warning", "canceled by ana: disk full"),
        ("warning", "ended as 'Canceled' by ana: disk full (1 of 2 items succeeded)"),
    ]


def test_an_amendment_and_a_failure_are_lines_too(ledger_db: str) -> None:
    job = submit("late", keys(1), pipeline="p", policy={"expiries_max": 1})
    lease = worker.lease()
    for _ in range(2):
        expire(lease.token)
        if leases := claim("p").leases:
            expire(leases[0].token)
    assert of_events(job)[-1] == ("error", "ended as 'Failed' (0 of 1 item succeeded)")
    succeed(lease)
    assert of_events(job)[-1] == ("info", "amended to 'Succeeded' (1 of 1 item succeeded)")


def test_a_line_stands_after_the_event_that_it_followed(ledger_db: str, clock: Any) -> None:
    job = submit("order", keys(1), pipeline="p")
    assert log(job.pk, "one")
    clock.forward(10)
    pause(job.pk)
    assert log(job.pk, "two")
    clock.forward(10)
    resume(job.pk)
    clock.forward(1)
    assert append(job.pk, [Line("late, of 5 s ago", age=5), Line("now")]) == 2
    assert texts(job) == ["started", "one", "paused", "two", "late, of 5 s ago", "resumed", "now"]
    ago = {line["message"]: line["at"] for line in logs(job.pk)}
    assert ago["late, of 5 s ago"] == "2030-01-01T00:00:16+00:00"


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_page_size_gives_each_line_once_in_order(
    ledger_db: str, size: int, backwards: bool
) -> None:
    job, other = submit("pages", keys(1), pipeline="p"), submit("other", keys(1), pipeline="q")
    for n in range(3):
        append(job.pk, [Line(f"{n} a"), Line(f"{n} b")])
        append(other.pk, [Line("of another job")])
        pause(job.pk) if n % 2 == 0 else resume(job.pk)
    expected = [line["id"] for line in logs(job.pk)]
    assert len(expected) == 1 + 6 + 3
    assert texts(job)[:4] == ["started", "0 a", "0 b", "paused"]
    assert walk(job, size, backwards=backwards) == (expected[::-1] if backwards else expected)


def test_the_newest_lines_come_first_if_asked_for(ledger_db: str) -> None:
    job = submit("newest", keys(1), pipeline="p")
    append(job.pk, [Line(str(n)) for n in range(5)])
    page = logs(job.pk, newest=True, limit=2)
    assert [line["message"] for line in page] == ["4", "3"]
    assert texts(job, before=page.next, limit=2) == ["2", "1"]
    assert logs(job.pk, newest=True, limit=6).next is None


def test_a_level_is_the_least_that_is_shown(ledger_db: str) -> None:
    job = submit("levels", keys(1), pipeline="p")
    append(job.pk, [Line(one, level=one) for one in ("debug", "info", "warning", "error")])
    cancel(job.pk, grace_seconds=0)
    ended = "ended as 'Canceled' (0 of 1 item succeeded)"
    assert texts(job, level="error") == ["error"]
    assert texts(job, level="warning") == ["warning", "error", "canceled", ended]
    assert texts(job, level="info")[:2] == ["started", "info"]
    assert len(texts(job, level="debug")) == 7
    with pytest.raises(InvalidInput, match="level: expected one of debug, info, warning, error"):
        logs(job.pk, level="loud")


def test_a_search_finds_a_part_of_any_message(ledger_db: str) -> None:
    job = submit("search", keys(1), pipeline="p")
    append(job.pk, [Line("The DISK is full"), Line("100 % done_"), Line("100 files done-")])
    pause(job.pk, actor="ana", reason="disk")
    assert texts(job, search="disk") == ["The DISK is full", "paused by ana: disk"]
    assert texts(job, search="by ANA: d") == ["paused by ana: disk"]
    assert texts(job, search="100 %") == ["100 % done_"]
    assert texts(job, search="done_") == ["100 % done_"]
    assert texts(job, search="nothing") == []


@pytest.mark.parametrize("backwards", [False, True])
def test_a_search_among_more_events_than_a_page_reads_comes_to_its_end(
    ledger_db: str, configure: Callable[..., None], backwards: bool
) -> None:
    configure(page_items_max=3)
    job = submit("many", keys(1), pipeline="p")
    for n in range(4):
        append(job.pk, [Line(f"needle {n}"), Line("hay")])
        pause(job.pk, reason="needle" if n == 2 else "hay")
        resume(job.pk)
    ids = walk(job, 2, backwards=backwards, search="needle")
    found = {line["id"]: line["message"] for line in logs(job.pk, limit=100, search="needle")}
    assert len(ids) == len(set(ids)) == 5
    assert set(found) <= set(ids)
    assert ids == sorted(ids, key=_place, reverse=backwards)


def _place(line_id: int) -> tuple[int, int]:
    number, was_logged = divmod(line_id, 2)
    return (Log.objects.get(pk=number).event_id, number) if was_logged else (number, 0)


def test_an_id_of_another_job_and_a_job_that_there_is_not(ledger_db: str) -> None:
    job, other = submit("mine", keys(1), pipeline="p"), submit("other", keys(1), pipeline="p")
    log(other.pk, "theirs")
    theirs = logs(other.pk)[-1]["id"]
    with pytest.raises(InvalidInput, match="expected the id of a line of job"):
        logs(job.pk, after=theirs)
    with pytest.raises(NotFound):
        logs(4711)
    delete(job.pk)
    with pytest.raises(NotFound):
        logs(job.pk)


def test_what_the_sweep_expires_is_one_line_for_each_worker(ledger_db: str, clock: Any) -> None:
    job = submit("expired", keys(9), pipeline="p", policy={"lease_seconds": 60})
    for name in ("gpu-1", "gpu-1", "gpu-2"):
        worker.lease(limit=3, worker=name)
    clock.forward(61)
    sweep()
    sweep()
    expired = [line for line in logs(job.pk) if line["source"] == "sweep"]
    back = "went back to the queue; the lease was not renewed in time"
    assert [(one["worker"], one["message"], one["level"]) for one in expired] == [
        ("gpu-1", f"2 leases of worker gpu-1 expired: 6 items {back}", "warning"),
        ("gpu-2", f"1 lease of worker gpu-2 expired: 3 items {back}", "warning"),
    ]
    assert [one["lease"] != "" for one in expired] == [False, True]


def test_a_lost_item_is_named_in_the_log(ledger_db: str) -> None:
    job = submit("lost", keys(1), pipeline="p", policy={"expiries_max": 1})
    while leases := claim("p", worker="gpu-1").leases:
        expire(leases[0].token, "the worker was killed")
    last = [line for line in logs(job.pk) if line["source"] == "sweep"][-1]
    assert (last["level"], last["item"], last["lease"]) == ("error", 0, leases_of(job)[-1])
    assert last["message"] == (
        "1 lease of worker gpu-1 expired: 0 items went back to the queue, 1 item lost (0); "
        "the worker was killed"
    )


def leases_of(job: Job) -> list[str]:
    rows = Lease.objects.filter(job_id=job.pk).order_by("claimed_at")
    return [str(row.pk)[:8] for row in rows]


def test_of_many_workers_the_log_names_twenty(ledger_db: str, clock: Any) -> None:
    job = submit("many", keys(25), pipeline="p", policy={"lease_seconds": 60})
    for n in range(25):
        worker.lease(limit=1, worker=f"w{n}")
    clock.forward(61)
    sweep()
    expired = [line for line in logs(job.pk) if line["source"] == "sweep"]
    assert len(expired) == 21
    assert expired[-1]["message"].startswith("5 leases of 5 other workers expired: 5 items went")


def test_an_event_is_stored_once_and_no_line_repeats_it(ledger_db: str) -> None:
    job = submit("once", keys(1), pipeline="p")
    worker.drain()
    assert (Event.objects.count(), Log.objects.count(), len(logs(job.pk))) == (3, 0, 3)


def test_the_log_of_an_item_has_its_lines_and_no_events(ledger_db: str) -> None:
    job = submit("lines", keys(3), pipeline="p")
    for number in (0, 1, 0, None, 0):
        log(job.pk, f"about {number}", level="debug" if number else "info", number=number)
    assert texts(job, item=0) == ["about 0"] * 3
    assert texts(job, item=1, level="info") == []
    assert walk(job, 2, backwards=True, item=0) == walk(job, 2, backwards=False, item=0)[::-1]
