"""A worker's recent throughput."""

from __future__ import annotations

import time

import pytest

from joblot.contrib.antenna import turnover


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    monkeypatch.setattr(turnover, "_done", {})
    return moment


def test_what_was_done_in_the_last_minute_counts(now: list[float]) -> None:
    turnover.add("gpu", 1, 24)
    now[0] += 40
    turnover.add("gpu", 1, 10)
    assert turnover.turnover("gpu", 1) == 34
    now[0] += 30
    assert turnover.turnover("gpu", 1) == 10
    now[0] += 60
    assert turnover.turnover("gpu", 1) == 0


def test_each_worker_and_job_has_its_own(now: list[float]) -> None:
    turnover.add("gpu", 1, 24)
    assert turnover.turnover("gpu", 2) == turnover.turnover("another", 1) == 0
