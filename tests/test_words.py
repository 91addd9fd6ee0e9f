"""People read the same word for a status everywhere; its code is for programs."""

from __future__ import annotations

import re

import pytest

from joblot.cli import text
from joblot.errors import WrongStatus
from joblot.ledger.read.event_text import sentence
from joblot.ledger.rows.job import require_transition
from joblot.models import Event, Job
from joblot.states import TERMINAL, JobStatus, JobTransition
from joblot.words import STATUSES, any_of, quoted
from tests.meta.sources import ROOT

CODE = re.compile("|".join(one.value for one in JobStatus))


def test_several_are_named_in_the_order_of_a_jobs_life() -> None:
    assert any_of({JobStatus.FAILURE}) == "'Failed'"
    three = any_of({JobStatus.PAUSED, JobStatus.STARTED, JobStatus.CREATED})
    assert three == "'Not started', 'Working' or 'Paused'"


@pytest.mark.parametrize("status", JobStatus)
def test_the_command_line_says_the_word(
    status: JobStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"id": 7, "name": "tiles", "status": status.value, "percent": 50.0, "total": 4, "run": 1}
    times = {"created_at": "2026-11-24T12:00:00", "owner": "ana", "sealed": True}
    text.job({**job, **times, "stages": []})
    text.jobs([{**job, **times}])
    said = capsys.readouterr().out
    assert said.count(STATUSES[status].word) == 2
    assert not CODE.search(said)


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("kind", ["finished", "amended"])
def test_an_event_says_the_word(kind: str, status: JobStatus) -> None:
    said = sentence(Event(kind=kind, data={"status": status.value}, actor="", reason="", run=1))
    assert said.endswith(quoted(status))
    assert not CODE.search(said)


@pytest.mark.parametrize("status", [one for one in JobStatus if one is not JobStatus.PAUSED])
def test_a_refusal_says_the_words(status: JobStatus) -> None:
    job = Job(pk=7, status=status.value)
    said = f"job 7 is {quoted(status)}; .* it is 'Paused'$"
    with pytest.raises(WrongStatus, match=said) as found:
        require_transition(job, JobTransition.RESUME)
    assert not CODE.search(str(found.value))


def test_the_guide_has_the_words_of_all_statuses() -> None:
    page = (ROOT / "docs/how-to/pages.md").read_text(encoding="utf-8")
    rows = [f"| {STATUSES[one].word} | `{one.value}` |" for one in JobStatus]
    assert "\n".join(rows) in page
