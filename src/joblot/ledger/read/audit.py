"""Audit: recount a job from its rows and compare the result with the job's counts.

The recount reads every item, so its cost grows with the job, and it locks nothing. It reads one
snapshot, so what it finds in a running job is a fault, not work in progress.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from joblot.errors import NotFound
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.rows.due import Counts, JobSnapshot, decide, read_snapshot
from joblot.ledger.rows.job import unknown_job
from joblot.ledger.rows.ranges import Span
from joblot.models import LIVE, MAY_SETTLE, ItemRange, Job, Lease, Outcome
from joblot.states import FINALIZABLE, TERMINAL, ItemState, JobStatus

Check = dict[str, Any]

_SETTLED = (ItemState.SUCCEEDED, ItemState.FAILED, ItemState.LOST)


@dataclass(frozen=True, slots=True)
class _Truth:
    """What the rows of a job say about its tallies; read in one statement."""

    stages: list[Counts]
    late_kept: Counter[str]  # by stage
    late_tallied: Counter[str]
    metrics: Counter[tuple[int, str]]  # the sums, by stage and name
    events: Counter[str]  # of this run, by kind
    items: int


@repeated
def audit(job_id: int) -> dict[str, Any]:
    """Check the invariants of one job: `{"ok", "count_drift", "checks": [{"invariant", "ok", …}]}`.

    Each check has what was `expected` and what was `found`. `count_drift` is the sum of the
    absolute differences between the tallies and the recount: 0 if the job is exact. Raises
    NotFound.
    """
    with one_snapshot():
        seen = read_snapshot(job_id)
        if seen is None:
            raise unknown_job(job_id)
        truth = _truth(seen)
        drift = _drift(seen, truth)
        checks = [*_counts(seen, truth), *_metrics(seen, truth), *_items(seen, truth)]
        checks += [*_events(seen, truth), *_queue(seen)]
    total = sum(abs(items) for columns in drift.values() for items in columns.values())
    return {"ok": all(check["ok"] for check in checks), "count_drift": total, "checks": checks}


def audit_all() -> Iterator[dict[str, Any]]:
    """Audit every job that is not deleted, oldest first: the result of `audit`, with its `job`."""
    jobs = Job.ledger.using(alias()).filter(deleted_at__isnull=True).order_by("pk")
    for job_id in list(jobs.values_list("pk", flat=True)):
        with suppress(NotFound):  # deleted in the meantime
            yield {"job": job_id, **audit(job_id)}


def _check(invariant: str, expected: Any, found: Any) -> Check:
    return {"invariant": invariant, "ok": expected == found, "expected": expected, "found": found}


def _truth(seen: JobSnapshot) -> _Truth:
    found: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    rows = fetch(connection(), "read/recounted", job=seen.job_id, run=seen.run)
    for what, stage, name, items in rows:
        found[what][stage, name] = int(items)
    return _Truth(
        _stages(seen, found["outcomes"]),
        _by_stage(seen, found["late, kept"]),
        _by_stage(seen, found["late, tallied"]),
        found["metrics"],
        Counter({kind: events for (_, kind), events in found["events"].items()}),
        found["items"][0, ""],
    )


def _stages(seen: JobSnapshot, outcomes: Counter[tuple[int, str]]) -> list[Counts]:
    """The counts of each stage; what was not successful in one is skipped in all later ones."""
    recounted, skipped = [], 0
    for stage in range(len(seen.stages)):
        done, failed, lost = (outcomes[stage, str(state.value)] for state in _SETTLED)
        recounted.append(Counts(done, failed, lost, skipped))
        skipped += failed + lost
    return recounted


def _by_stage(seen: JobSnapshot, items: Counter[tuple[int, str]]) -> Counter[str]:
    return Counter({seen.names[stage]: count for (stage, _), count in items.items() if count})


def _counts(seen: JobSnapshot, truth: _Truth) -> Iterator[Check]:
    """The tallies equal the recount, and the recorded counts equal the tallies."""
    for name, tallied, found in zip(seen.names, seen.stages, truth.stages, strict=True):
        yield _check(f"tallies of {name} equal the recount", asdict(found), asdict(tallied))
        yield _check(f"settled in {name} is at most the total", True, tallied.settled <= seen.total)
    kept, counted = dict(truth.late_kept), dict(truth.late_tallied)
    yield _check("late results that are counted are kept", kept, counted)
    if seen.recorded is not None and decide(seen) is None:
        yield _check("recorded counts equal the tallies", seen.counts, seen.recorded)


def count_drift(seen: JobSnapshot) -> dict[int, Counter[str]]:
    """By stage, what must be added to its tallies to equal the recount; empty if exact."""
    return _drift(seen, _truth(seen))


def _drift(seen: JobSnapshot, truth: _Truth) -> dict[int, Counter[str]]:
    drift: dict[int, Counter[str]] = {}
    for stage, recounted in enumerate(truth.stages):
        found, tallied = asdict(recounted), asdict(seen.stages[stage])
        differs = Counter({name: found[name] - tallied[name] for name in found})
        name = seen.names[stage]
        differs["late"] = truth.late_kept[name] - truth.late_tallied[name]
        if any(differs.values()):
            drift[stage] = differs
    return drift


def recount(seen: JobSnapshot) -> list[Counts]:
    """The counts of each stage, from the outcomes."""
    return _truth(seen).stages


def _metrics(seen: JobSnapshot, truth: _Truth) -> Iterator[Check]:
    """The sums of the metrics equal the sums over the outcomes."""
    surplus = {
        f"{seen.names[stage]}.{name}": -value
        for (stage, name), value in sorted(_metric_drift(seen, truth).items())
    }
    yield _check("metrics drift by nothing", {}, surplus)


def metric_drift(seen: JobSnapshot) -> Counter[tuple[int, str]]:
    """By stage and name, what must be added to a metric's sum to equal that of the outcomes."""
    return _metric_drift(seen, _truth(seen))


def _metric_drift(seen: JobSnapshot, truth: _Truth) -> Counter[tuple[int, str]]:
    drift: Counter[tuple[int, str]] = Counter()
    outcomes = Outcome.ledger.using(alias()).filter(job_id=seen.job_id, metrics__isnull=False)
    for stage, metrics in outcomes.values_list("stage", "metrics").iterator():
        for name, value in metrics.items():
            drift[stage, name] += value
    drift.subtract(truth.metrics)
    return Counter({place: value for place, value in drift.items() if value})


def _items(seen: JobSnapshot, truth: _Truth) -> Iterator[Check]:
    """Numbers are dense, and no item was settled in a stage that it had not reached."""
    yield _check("items equal the total", seen.total, truth.items)
    for stage in range(1, len(seen.stages)):
        outcomes = Outcome.ledger.using(alias()).filter(job_id=seen.job_id).values("number")
        before = outcomes.filter(stage=stage - 1, state=ItemState.SUCCEEDED)
        # A set operation, so that no plan is quadratic, whatever the statistics.
        found = outcomes.filter(stage=stage).difference(before).count()
        yield _check(f"all settled in {seen.names[stage]} came through the stage before", 0, found)


def _events(seen: JobSnapshot, truth: _Truth) -> Iterator[Check]:
    """A run that has ended has one `finished` event, any other none."""
    ended = int(seen.status in TERMINAL)
    yield _check("finished events of this run", ended, truth.events["finished"])
    amended = seen.revision - 1 if ended else 0
    yield _check("amended events of this run", amended, truth.events["amended"])


def _queue(seen: JobSnapshot) -> Iterator[Check]:
    """Each open item of a running job is in exactly one range or live lease."""
    if seen.status is JobStatus.REVOKED:
        found = Lease.ledger.using(alias()).filter(MAY_SETTLE, job_id=seen.job_id).count()
        yield _check("leases of a revoked job that are not closed", 0, found)
    for stage, places in places_of_open(seen).items():
        wrong = [number for number, count in places.items() if count != 1]
        invariant = f"open items of {seen.names[stage]} not in exactly one range or live lease"
        yield _check(invariant, [], wrong[:20])


def places_of_open(seen: JobSnapshot) -> dict[int, dict[int, int]]:
    """By stage and number, how many ranges and live leases hold an open item of a running job."""
    if seen.status not in FINALIZABLE:
        return {}
    held = Counter(_held(seen))
    return {
        stage: {number: held[stage, number] for number in _open_numbers(seen, stage)}
        for stage in range(len(seen.stages))
    }


def _held(seen: JobSnapshot) -> list[tuple[int, int]]:
    """(stage, number) for every place where an item waits or is held."""
    queued = ItemRange.ledger.using(alias()).filter(job_id=seen.job_id)
    live = Lease.ledger.using(alias()).filter(LIVE, job_id=seen.job_id)
    held = [
        (stage, number)
        for stage, first, last in queued.values_list("stage", "next", "last")
        for number in range(first, last + 1)
    ]
    for stage, ranges, gone in live.values_list("stage", "ranges", "gone"):
        back = set(gone)
        spans = (Span(*span) for span in ranges)
        held += [(stage, n) for span in spans for n in span.numbers if n not in back]
    return held


def _open_numbers(seen: JobSnapshot, stage: int) -> list[int]:
    rows = fetch(connection(), "read/open_numbers", job=seen.job_id, stage=stage)
    return [number for (number,) in rows]
