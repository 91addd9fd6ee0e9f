"""A recount of every job from its tables alone, written without any of the ledger's code.

The ledger's own audit is compared with it: two independent counts must agree.
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
OF_JOBS = (
    "attempt",
    "event",
    "item",
    "lease",
    "log",
    "metric",
    "outcome",
    "range",
    "stage",
    "tally",
    "uncounted",
)


def _read(job: Job, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Read all rows of the job. Avoids the slower ORM: many tests call this after every step."""
    with connections[router.db_for_read(Job)].cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM joblot_{table} WHERE job_id = %s", [job.pk])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _json(value: Any) -> Any:
    """Parse a JSON column, which is read as text."""
    return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class RecountedLease:
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
    """The rows of one job."""

    job: Job
    stages: int = 0
    numbers: list[int] = field(default_factory=list)
    settled: dict[int, dict[int, int]] = field(default_factory=dict)  # stage -> number -> state
    metrics: Counter[tuple[int, str]] = field(default_factory=Counter)  # of the outcomes
    leases: list[RecountedLease] = field(default_factory=list)

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
            rows.leases.append(RecountedLease(granted, _json(gone), *row))
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
    """Assert the invariants of every job, and that no row belongs to a missing job."""
    for job in Job.objects.all():
        if job.deleted_at is None:
            check(job)
        else:
            check_removal(job)
    _no_row_is_left_behind()


def check_removal(job: Job) -> None:
    """Assert the invariants of a job that is being removed: nothing is added to it any more."""
    assert (job.status in [*ENDED, "REVOKED"], job.idempotency_key) == (True, None)
    leases = _read(job, "lease", "state, gone")
    may_settle = [state for state, gone in leases if state != SPENT or _json(gone)]
    assert set(may_settle) <= {CLOSED}, "a lease may settle an item of a job that is being removed"
    numbers = sorted(number for (number,) in _read(job, "item", "number"))
    assert numbers == list(range(job.total))
    beyond = [n for table in ("outcome", "attempt") for (n,) in _read(job, table, "number")]
    assert max(beyond, default=-1) < job.total, "an item is gone and its outcomes are not"
    recorded = sorted(_read(job, "event", "id, kind, run, revision, data"))
    kinds = [kind for _, kind, *_ in recorded]
    assert "deleted" not in kinds[:-1], f"an event was recorded after the removal: {kinds}"
    _ends_say_what_was_recorded(job, recorded)


def _no_row_is_left_behind() -> None:
    """Deliveries of webhooks may outlive their job; nothing else may."""
    children = [*((table, "job_id", "job") for table in OF_JOBS), ("delivery", "event_id", "event")]
    orphans = (
        f"SELECT '{table}' FROM joblot_{table} t WHERE NOT EXISTS "
        f"(SELECT 1 FROM joblot_{parent} p WHERE p.id = t.{key})"
        for table, key, parent in children
    )
    with connections[router.db_for_read(Job)].cursor() as cursor:
        cursor.execute(" UNION ".join(orphans))
        found = sorted(table for (table,) in cursor.fetchall())
    assert not found, f"rows of {', '.join(found)} are left of what is not there any more"


def check(job: Job, *, reconciled: bool = True) -> None:
    """Assert the invariants of one job; without `reconciled`, reconciling may be due."""
    rows = Rows.of(job)
    _numbers_are_dense(rows)
    _tallies_are_the_recount(rows)
    _metrics_are_the_sums(rows)
    _stages_follow_each_other(rows)
    _open_items_are_in_one_place(rows)
    _leases_say_what_they_hold(rows)
    _ends_are_recorded_once(rows, reconciled=reconciled)


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


def _ends_are_recorded_once(rows: Rows, *, reconciled: bool) -> None:
    job = rows.job
    recorded = _read(job, "event", "id, kind, run, revision, data")
    finished = [run for _, kind, run, *_ in recorded if kind == "finished"]
    ended = [*ENDED, "REVOKED"]
    assert sorted(finished) == list(range(1, job.run + (job.status in ended)))
    amended = [rev for _, kind, run, rev, _ in recorded if (kind, run) == ("amended", job.run)]
    assert sorted(amended) == list(range(2, job.revision + 1))
    if job.status in ENDED:
        assert job.sealed
        assert rows.all_settled
    if job.status == "REVOKED":
        left = [lease for lease in rows.leases if lease.state != CLOSED]
        assert all(lease.state == SPENT and not lease.gone for lease in left)
    if job.status in ended:
        counted = [rows.recount(stage) for stage in range(rows.stages)]
        assert not reconciled or job.recorded == counted, (
            "the recorded counts differ from the recount"
        )
        _ends_say_what_was_recorded(job, recorded)
        return
    assert (job.revision, job.recorded, job.finished_at) == (0, None, None)
    if reconciled:
        assert not (job.sealed and job.status in RUNNING and rows.all_settled), "not finished"


def _ends_say_what_was_recorded(job: Job, recorded: list[tuple[Any, ...]]) -> None:
    """The last report of an ended run equals the report in its event."""
    last = [
        _json(data)["stages"]
        for _, kind, run, revision, data in recorded
        if kind in ("finished", "amended") and (run, revision) == (job.run, job.revision)
    ]
    reports = [[{n: stage[n] for n in stage if n != "name"} for stage in one] for one in last]
    assert reports in ([job.recorded], []), f"event has {reports}, recorded {job.recorded}"
