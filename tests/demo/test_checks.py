"""The demo's checks detect every deviation from the input."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from joblot.demo.checks import checks
from joblot.demo.digits import Digits, key, load
from joblot.demo.fates import Fate
from joblot.demo.run import Run
from joblot.testing.crew.record import Reported

IMAGES = 1_797


@pytest.fixture(scope="module")
def right() -> int:
    return load().right_alone()


@pytest.fixture
def digits(right: int, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """The digits, with the number of recognized ones precomputed."""
    monkeypatch.setattr(Digits, "right_alone", lambda self: right)
    return load()


@pytest.fixture
def exact(digits: Digits, right: int) -> Run:
    """A run in which everything is correct."""
    mistaken = digits.half + digits_right(digits) - right
    seen = [
        (key(n), (label + 1) % 10 if digits.half <= n < mistaken else label)
        for n, label in enumerate(digits.labels)
    ]
    return Run(
        seed=1,
        digits=digits,
        seconds=1.0,
        job={"id": 1, "status": "COMPLETED_WITH_ERRORS", "stages": stages(digits)},
        failed=[{"key": "broken", "outcomes": [{"error": {"type": "ValueError"}}]}],
        finished_events=1,
        finishes_told=1,
        audit={"ok": True, "checks": [{"invariant": "all is well", "ok": True}]},
        saved=seen,
        reports=[
            reported("late", 16, "counted"),
            reported("others", 2 * IMAGES + 1 - 16, "counted"),
            reported("others", 700, "duplicate"),
        ],
        exit_codes={"worker-1": 0, "worker-2": -signal.SIGKILL, "worker-3": 0},
        killed=Fate("worker-2", 2, "lost", 16),
        late=Fate("worker-3", 3, "late", 16),
        unlocked=0,
    )


def digits_right(digits: Digits) -> int:
    return len(digits.labels) - digits.half


def stages(digits: Digits) -> list[dict[str, Any]]:
    counts = {"succeeded": IMAGES, "failed": 0, "lost": 0, "skipped": 0}
    return [
        {"name": "classify", **counts, "failed": 1, "metrics": {"ink": digits.ink}},
        {"name": "save", **counts, "skipped": 1, "metrics": {}},
    ]


def reported(lease: str, results: int, receipt: str) -> Reported:
    numbers = list(range(results))
    return Reported(
        "worker-1", 0.0, lease, "save", numbers, ["succeeded"] * results, [receipt] * results
    )


def wrong(run: Run) -> list[str]:
    return [check.what for check in checks(run) if not check.ok]


def test_an_exact_run_passes(exact):
    assert wrong(exact) == []


@pytest.mark.parametrize(
    "change",
    [
        {"finished_events": 2},
        {"finishes_told": 0},
        {"killed": None},
        {"exit_codes": {"worker-1": 1, "worker-2": -signal.SIGKILL, "worker-3": 0}},
        {"exit_codes": {"worker-1": 0, "worker-2": 0, "worker-3": 0}},
        {"late": None},
        {"failed": []},
        {"audit": {"ok": False, "checks": [{"invariant": "all is well", "ok": False}]}},
        {"reports": [reported("late", 2 * IMAGES, "counted")]},
        {"reports": [reported("late", 16, "late"), reported("others", 2 * IMAGES + 1, "counted")]},
    ],
    ids=str,
)
def test_one_thing_that_is_not_so_is_found(exact, change):
    assert len(wrong(replace(exact, **change))) == 1


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_row_too_many_or_too_few_is_found(exact, extra):
    saved = exact.saved[1:] if extra < 0 else [exact.saved[0], *exact.saved]
    assert wrong(replace(exact, saved=saved)) == ["rows saved by the hook"]


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("outcome", ["succeeded", "failed", "lost", "skipped"])
def test_a_count_that_is_off_by_one_is_found(exact, digits, stage, outcome):
    counts = stages(digits)
    counts[stage][outcome] += 1
    assert len(wrong(replace(exact, job={**exact.job, "stages": counts}))) == 1
