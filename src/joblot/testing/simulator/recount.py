"""A recount of every job from its tables alone, written without any of the ledger's code.

What the audit says of itself is compared with this: two independent counts must agree.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, router

from joblot.models import Job

SUCCEEDED, FAILED, LOST = 1, 2, 3
LIVE, SPENT, EXPIRED, CLOSED = 0, 1, 2, 3
ENDED = ("SUCCESS", "COMPLETED_WITH_ERRORS", "FAILURE")
RUNNING = ("PENDING", "STARTED", "PAUSED")


def _read(job: Job, table: str, columns: str) -> list[tuple[Any, ...]]:
    """All rows of the job. This runs after every step of many tests, and the ORM takes longer."""
    with connections[router.db_for_read(Job)].cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM joblot_{table} WHERE job_id = %s", [job.pk])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _json(value: Any) -> Any:
    """A JSON column, which comes as text."""
    return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Lease:
    granted: list[int]
    gone: list[int]
    stage: int
    run: int
    state: int
    size: int
    open: int

    @property
    def held(self) -> set[int]:
        assert len(self.granted) == len(set(self.granted)) == self.size
        return set(self.granted) - set(self.gone)


@dataclass
class Rows:
    """What the tables say of one job."""

    job: Job
    stages: int = 0
    numbers: list[int] = field(default_factory=list)
    settled: dict[int, dict[int, int]] = field(default_factory=dict)  # stage -> number -> state
    metrics: Counter[tuple[int, str]] = field(default_factory=Counter)  # of the outcomes
    leases: list[Lease] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job) -> Rows:
        rows = cls(job, len(_read(job, "stage", "position")))
        rows.numbers = sorted(number for (number,) in _read(job, "item", "number"))
        rows.settled = {stage: {} for stage in range(rows.stages)}
        for stage, number, state, metrics in _read(job, "outcome", "stage, number, state, metrics"):
            rows.settled[stage][number] = state
            for name, value in (_json(metrics) or {}).items():
                rows.metrics[stage, name] += value
        columns = "ranges, gone, stage, run, state, size, open"
        for ranges, gone, *row in _read(job, "lease", columns):
            granted = [n for first, last, *_ in _json(ranges) for n in range(first, last + 1)]
            rows.leases.append(Lease(granted, _json(gone), *row))
        return rows

    def succeeded(self, stage: int) -> set[int]:
        return {n for n, state in self.settled[stage].items() if state == SUCCEEDED}

    def arrived(self, stage: int) -> set[int]:
        return set(self.numbers) if stage == 0 else self.succeeded(stage - 1)

    def recount(self, stage: int) -> dict[str, int]:
        states = Counter(self.settled[stage].values())
        earlier = range(stage)
        gone = sum(len(self.settled[s]) - len(self.succeeded(s)) for s in earlier)
        return {
            "succeeded": states[SUCCEEDED],
            "failed": states[FAILED],
            "lost": states[LOST],
            "skipped": gone,
        }

    @property
    def all_settled(self) -> bool:
        return all(sum(self.recount(s).values()) == self.job.total for s in range(self.stages))


def check_all() -> None:
    """Assert the invariants of every job that was not deleted."""
    for job in Job.objects.filter(deleted_at__isnull=True):
        check(job)


def check(job: Job, *, looked: bool = True) -> None:
    """Assert the invariants of one job; without `looked`, its look may still be due."""
    rows = Rows.of(job)
    _numbers_are_dense(rows)
    _tallies_are_the_recount(rows)
    _metrics_are_the_sums(rows)
    _stages_follow_each_other(rows)
    _open_items_are_in_one_place(rows)
    _leases_say_what_they_hold(rows)
    _ends_are_told_once(rows, looked=looked)


def _numbers_are_dense(rows: Rows) -> None:
    assert rows.numbers == list(range(rows.job.total))


def _tallies_are_the_recount(rows: Rows) -> None:
    names = ("succeeded", "failed", "lost", "skipped", "late")
    sums: dict[int, Counter[str]] = defaultdict(Counter)
    for stage, *counts in _read(rows.job, "tally", f"stage, {', '.join(names)}"):
        sums[stage].update(dict(zip(names, counts, strict=True)))
    kept = _read(rows.job, "uncounted", "stage, receipt")
    late = Counter(stage for stage, receipt in kept if receipt == "late")
    for stage in range(rows.stages):
        recounted = rows.recount(stage)
        tallied = {name: sums[stage][name] for name in recounted}
        assert tallied == recounted, f"stage {stage}"
        assert sums[stage]["late"] == late[stage]


def _metrics_are_the_sums(rows: Rows) -> None:
    drift = rows.metrics.copy()
    for stage, name, value in _read(rows.job, "metric", "stage, name, value"):
        drift[stage, name] -= value
    assert not {name: value for name, value in drift.items() if value}


def _stages_follow_each_other(rows: Rows) -> None:
    for stage in range(rows.stages):
        assert set(rows.settled[stage]) <= rows.arrived(stage)


def _open_items_are_in_one_place(rows: Rows) -> None:
    if rows.job.status not in RUNNING:
        return
    places: Counter[tuple[int, int]] = Counter()
    for stage, first, last in _read(rows.job, "range", "stage, next, last"):
        places.update((stage, n) for n in range(first, last + 1))
    for lease in rows.leases:
        if lease.state == LIVE:
            places.update((lease.stage, n) for n in lease.held)
    for stage in range(rows.stages):
        for number in rows.arrived(stage) - set(rows.settled[stage]):
            assert places[stage, number] == 1, f"item {number} in stage {stage}"


def _leases_say_what_they_hold(rows: Rows) -> None:
    for lease in rows.leases:
        if lease.run != rows.job.run:
            continue
        really_open = len(lease.held - set(rows.settled[lease.stage]))
        if lease.state == LIVE:
            assert lease.open >= max(really_open, 1)
        if lease.state == SPENT:
            assert (lease.open, really_open) == (0, 0)


def _ends_are_told_once(rows: Rows, *, looked: bool) -> None:
    job = rows.job
    told = _read(job, "event", "kind, run, revision")
    finished = [run for kind, run, _ in told if kind == "finished"]
    ended = [*ENDED, "REVOKED"]
    assert sorted(finished) == list(range(1, job.run + (job.status in ended)))
    amended = [rev for kind, run, rev in told if (kind, run) == ("amended", job.run)]
    assert sorted(amended) == list(range(2, job.revision + 1))
    if job.status in ENDED:
        assert job.sealed
        assert rows.all_settled
    if job.status == "REVOKED":
        assert {lease.state for lease in rows.leases} <= {CLOSED}
    if job.status in ended:
        counted = [rows.recount(stage) for stage in range(rows.stages)]
        assert not looked or job.recorded == counted, "what was recorded is not what is counted"
        return
    assert (job.revision, job.recorded, job.finished_at) == (0, None, None)
    if looked:
        assert not (job.sealed and job.status in RUNNING and rows.all_settled), "not finished"
