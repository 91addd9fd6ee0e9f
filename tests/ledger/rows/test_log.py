"""Appending to a job's log: what is kept, cut, cleaned, and how a log is bounded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from joblot.ledger.job.lifecycle import delete
from joblot.ledger.read.log_lines import logs
from joblot.ledger.rows.log import FULL, Line, append, log
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Log
from tests.ledger.worker import keys

Configure = Callable[..., None]


def messages(job: Job) -> list[str]:
    return [line["message"] for line in logs(job.pk) if line["event"] is None]


def test_control_characters_are_escaped_and_lines_stay_lines(ledger_db: str) -> None:
    job = submit("clean", keys(1), pipeline="p")
    log(job.pk, "a\r\nb\tc \x1b[31m\x00 \x85 \u202e \ud800", source="x\ny\x1b")
    assert messages(job) == ["a\nb\tc \\x1b[31m\\x00 \\x85 \\u202e ?"]
    assert Log.objects.get().source == "x\ny\\x1b"


def test_a_long_message_keeps_its_beginning_and_its_end(
    ledger_db: str, configure: Configure
) -> None:
    configure(error_chars_max=13)
    job = submit("long", keys(1), pipeline="p")
    log(job.pk, "0123456789ABCDEFGHIJ")
    log(job.pk, "0123456789ABC")
    assert messages(job) == ["01234 … FGHIJ", "0123456789ABC"]


def test_what_does_not_fit_a_column_is_left_out(ledger_db: str) -> None:
    job = submit("odd", keys(1), pipeline="p")
    odd = {"number": 2**40, "stage": "none", "level": "loud", "worker": "w" * 300}
    assert append(job.pk, [Line("odd", lease="l" * 99, source="s" * 300, **odd)]) == 1  # type: ignore[arg-type]
    line = logs(job.pk)[-1]
    assert (line["item"], line["stage"], line["level"]) == (None, None, "info")
    assert (len(line["worker"]), len(line["source"]), line["lease"]) == (200, 200, "l" * 8)


def test_a_full_log_says_so_once_and_keeps_no_more(ledger_db: str, configure: Configure) -> None:
    configure(log_lines_max=3)
    job = submit("full", keys(1), pipeline="p")
    assert append(job.pk, [Line("0"), Line("1")]) == 2
    assert append(job.pk, [Line("2"), Line("3")]) == 1
    assert not log(job.pk, "4")
    assert append(job.pk, [Line("5"), Line("6")]) == 0
    assert messages(job) == [
        "0",
        "1",
        "2",
        (
            "this log is full (log_lines_max is 3, log_chars_max 10,000,000): later lines are not "
            "kept here"
        ),
    ]
    assert Log.objects.filter(source=FULL, level="warning").count() == 1


def test_a_log_is_bounded_by_its_text_too(ledger_db: str, configure: Configure) -> None:
    configure(log_chars_max=10)
    job = submit("full", keys(1), pipeline="p")
    assert append(job.pk, [Line("x" * 6), Line("y" * 4), Line("z")]) == 2
    assert messages(job)[:2] == ["x" * 6, "y" * 4]
    assert append(job.pk, [Line("z")]) == 0


def test_another_jobs_full_log_is_another_log(ledger_db: str, configure: Configure) -> None:
    configure(log_lines_max=1)
    full, other = submit("full", keys(1), pipeline="p"), submit("other", keys(1), pipeline="p")
    append(full.pk, [Line("0"), Line("1")])
    assert append(other.pk, [Line("0")]) == 1


def test_a_job_that_is_being_removed_takes_no_line(ledger_db: str) -> None:
    job = submit("gone", keys(1), pipeline="p")
    delete(job.pk)
    for job_id in (job.pk, 4711):
        assert not log(job_id, "too late")
        with pytest.raises(Job.DoesNotExist):
            append(job_id, [Line("too late")])
    assert Log.objects.count() == 0
