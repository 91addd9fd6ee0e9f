"""Estimates: calibrated on recorded runs, and one sentence where there is none."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest
from django.db import connections

from joblot.ledger.job.lifecycle import cancel, pause, resume
from joblot.ledger.maintain.sample import sample
from joblot.ledger.read.eta import duration, eta
from joblot.ledger.read.forecast import forecast
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.worker import TWO_STAGES, drain, keys, succeed

WINDOW = 90


def recorded_runs(runs: int) -> Iterator[list[float]]:
    """Items settled in each interval of ten seconds: of a steady crew, of workers that come and go,
    of items that get harder and easier, of a rate that jumps, and of bursts.
    """
    for seed in range(runs):
        chance = random.Random(seed)
        base, crew, mood, jump, items = chance.uniform(10, 200), 4, 0.0, 1.0, 0.0
        total, kind = chance.choice([3_000, 10_000, 30_000]), seed % 5
        run: list[float] = []
        while items < total:
            if kind == 1 and chance.random() < 1 / 60:
                crew = max(1, min(8, crew + chance.choice([-1, 1])))
            if kind == 2:
                mood = 0.95 * mood + chance.gauss(0, 0.15)
            if kind == 3 and chance.random() < 1 / 120:
                jump = chance.choice([0.5, 1, 1, 2])
            burst = chance.choice([0, 0, 0.5, 3.5]) if kind == 4 else 1.0
            rate = base * crew / 4 * math.exp(mood) * jump * burst
            run.append(max(0.0, chance.gauss(rate, math.sqrt(rate))))
            items += run[-1]
        yield run


def test_the_ranges_are_right_as_often_as_they_say() -> None:
    """At points of recorded runs, the end is within P90 at 85 to 97 %, within P50 at 40 to 60 %."""
    points = within_p50 = within_p90 = 0
    chance = random.Random(7)
    for run in recorded_runs(100):
        for at in chance.sample(range(7, len(run)), k=6) if len(run) > 20 else ():
            remaining = math.ceil(sum(run[at:]))
            found = forecast([run[max(0, at - WINDOW) : at]], [remaining], 1, f"{at}")
            if found is None:
                continue
            points += 1
            within_p50 += len(run) - at <= found.p50
            within_p90 += len(run) - at <= found.p90
    assert points > 250
    assert 0.40 <= within_p50 / points <= 0.60
    assert 0.85 <= within_p90 / points <= 0.97


def test_the_same_seed_gives_the_same_answer() -> None:
    history = [float(n % 7) for n in range(60)]
    assert forecast([history], [500], 10, "a") == forecast([history], [500], 10, "a")
    assert forecast([history], [500], 10, "a") != forecast([history], [500], 10, "b")


def test_the_slowest_stage_decides() -> None:
    def end(second: float, *remaining: int) -> float | None:
        found = forecast([[10.0] * 60, [second] * 60], remaining, 10, "a")
        return found and found.p90

    assert end(0.0, 1_000, 0) == 1_000
    assert end(1.0, 10, 100) == 1_000
    assert end(0.0, 10, 100) is None
    assert end(0.0, 10, 0) == 10


class Crew:
    """Works at a given rate by a clock that the test moves; the sweep samples."""

    def __init__(self, clock: Clock, items: int = 2_000, **more: object) -> None:
        self.clock = clock
        self.job: Job = submit("x", keys(items), pipeline="p", **more)  # type: ignore[arg-type]

    def works(self, seconds: int, per_second: int) -> None:
        for _ in range(seconds // 10):
            succeed(worker.lease("p", per_second * 10, worker="gpu-1"))
            self.clock.forward(10)
            sample()

    def idles(self, seconds: int) -> None:
        for _ in range(seconds // 10):
            self.clock.forward(10)
            sample()

    @property
    def says(self) -> str:
        return str(eta(self.job.pk)["text"])


def test_a_steady_job_ends_when_it_says(ledger_db: str, clock: Clock, caches_kept: None) -> None:
    crew = Crew(clock)
    assert crew.says == "Not started: no item was claimed yet"
    crew.works(50, 4)
    assert crew.says == "Too early: under 100 settled or under 60 s"
    crew.works(50, 4)
    found = eta(crew.job.pk)
    assert found["kind"] == "range"
    assert found["p50"] == pytest.approx(400, rel=0.05)
    assert found["p50"] <= found["p90"] < 480
    assert found["items_per_second"] == pytest.approx(4, rel=0.05)
    assert crew.says == "Done in about 7 min; 9 in 10 within 7 min"
    assert found == eta(crew.job.pk)
    drain("p")
    assert crew.says == ""


def test_pauses_do_not_count(ledger_db: str, clock: Clock, caches_kept: None) -> None:
    crew = Crew(clock)
    crew.works(100, 4)
    pause(crew.job.pk)
    assert crew.says == "Paused"
    crew.idles(3_600)
    resume(crew.job.pk)
    crew.works(20, 4)
    assert eta(crew.job.pk)["p50"] == pytest.approx(380, rel=0.1)
    cancel(crew.job.pk, grace_seconds=100)
    assert eta(crew.job.pk)["kind"] in ("canceling", "ended")


def test_a_job_that_nobody_works_on_is_not_moving(
    ledger_db: str, clock: Clock, caches_kept: None
) -> None:
    crew = Crew(clock)
    crew.works(100, 4)
    crew.idles(600)
    assert crew.says == (
        "Not moving: nothing is in flight, and nothing was settled for 10 min; would need about "
        "7 min at the last rate"
    )
    assert eta(crew.job.pk)["p50"] is None


def test_a_job_that_still_takes_items_ends_at_least_then(
    ledger_db: str, clock: Clock, caches_kept: None
) -> None:
    crew = Crew(clock, items=1_000, seal=False)
    crew.works(100, 4)
    assert crew.says == "At least 2 min: still open"
    assert eta(crew.job.pk)["kind"] == "at_least"
    drain("p")
    assert crew.says == "All that was added so far is settled"


def test_a_stage_that_has_not_begun_allows_no_estimate(ledger_db: str, clock: Clock) -> None:
    job = submit("x", keys(600), stages=TWO_STAGES)
    for _ in range(10):
        succeed(worker.lease("p", 40))
        clock.forward(10)
        sample()
    assert eta(job.pk)["text"] == "Too early: hardly anything was settled in save lately"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 min"),
        (59 * 60, "59 min"),
        (3_600, "1 h"),
        (7_700, "2 h 10 min"),
        (12 * 3_600 + 1_000, "12 h"),
        (80 * 3_600, "3 days"),
    ],
)
def test_a_duration_is_as_precise_as_it_is_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_an_estimate_reads_no_item(ledger_db: str, clock: Clock) -> None:
    crew = Crew(clock)
    crew.works(100, 4)
    sent: list[str] = []

    def count(execute, sql, *rest):
        sent.append(sql)
        return execute(sql, *rest)

    with connections[ledger_db].execute_wrapper(count):
        eta(crew.job.pk)
    assert not any("joblot_outcome" in sql or "joblot_item" in sql for sql in sent)
