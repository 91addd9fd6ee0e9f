"""Audit: recount a job from its rows and compare with what it says of itself.

The recount reads every item, so it costs what the job is large; PostgreSQL locks nothing for it,
SQLite lets no writer in meanwhile. On a job that
is being worked, it reads one snapshot (on SQLite one read transaction), so what it finds is a
fault and not the work going on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Count, Sum

from joblot.ledger.jobs import read_job
from joblot.ledger.look import Counts, Seen, decide, read
from joblot.ledger.ranges import Span
from joblot.ledger.transactions import alias, connection, repeated
from joblot.models import Event, Item, ItemRange, Lease, Metric, Outcome
from joblot.states import ACTIVE, CLAIMABLE, TERMINAL, ItemState, JobStatus, LeaseState

Check = dict[str, Any]


@repeated
def audit(job_id: int) -> dict[str, Any]:
    """Check the invariants of one job: `{"ok", "checks": [{"invariant", "ok", …}]}`.

    Each check says what was `expected` and what was `found`. Raises NotFound.
    """
    read_job(job_id)
    with _one_snapshot():
        seen = read(job_id)
        assert seen is not None
        checks = [*_counts(seen), *_metrics(seen), *_items(seen), *_events(seen), *_queue(seen)]
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


@contextmanager
def _one_snapshot() -> Iterator[None]:
    if connection().in_atomic_block:
        yield
        return
    with transaction.atomic(using=alias()):
        if connection().vendor == "postgresql":
            with connection().cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _check(invariant: str, expected: Any, found: Any) -> Check:
    return {"invariant": invariant, "ok": expected == found, "expected": expected, "found": found}


def _counts(seen: Seen) -> Iterator[Check]:
    """The tallies are the recount, and what is recorded is the tallies."""
    recounted = _recount(seen)
    for name, tallied, recount in zip(seen.names, seen.stages, recounted, strict=True):
        yield _check(f"tallies of {name} equal the recount", asdict(recount), asdict(tallied))
        yield _check(f"settled in {name} is at most the total", True, tallied.settled <= seen.total)
    if seen.recorded is not None and decide(seen) is None:
        yield _check("recorded counts equal the tallies", seen.counts, seen.recorded)


def _recount(seen: Seen) -> list[Counts]:
    rows = Outcome.ledger.using(alias()).filter(job_id=seen.job_id)
    by_stage: dict[int, Counter[int]] = {}
    for row in rows.values("stage", "state").annotate(items=Count("number")):
        by_stage.setdefault(row["stage"], Counter())[row["state"]] = row["items"]
    recounted, skipped = [], 0
    for stage in range(len(seen.stages)):
        found = by_stage.get(stage, Counter())
        failed, lost = found[ItemState.FAILED], found[ItemState.LOST]
        recounted.append(Counts(found[ItemState.SUCCEEDED], failed, lost, skipped))
        skipped += failed + lost
    return recounted


def _metrics(seen: Seen) -> Iterator[Check]:
    """The sums of the metrics are the sums over the outcomes."""
    expected: Counter[str] = Counter()
    outcomes = Outcome.ledger.using(alias()).filter(job_id=seen.job_id, metrics__isnull=False)
    for stage, metrics in outcomes.values_list("stage", "metrics").iterator():
        for name, value in metrics.items():
            expected[f"{seen.names[stage]}.{name}"] += value
    found: Counter[str] = Counter()
    sums = Metric.ledger.using(alias()).filter(job_id=seen.job_id).values("stage", "name")
    for row in sums.annotate(sum=Sum("value")):
        found[f"{seen.names[row['stage']]}.{row['name']}"] = int(row["sum"])
    drift = {name: found[name] - expected[name] for name in sorted(expected | found)}
    yield _check("metrics drift by nothing", {}, {k: v for k, v in drift.items() if v})


def _items(seen: Seen) -> Iterator[Check]:
    """Numbers are dense, and nothing was settled in a stage that it had not come to."""
    numbers = Item.ledger.using(alias()).filter(job_id=seen.job_id).count()
    yield _check("items equal the total", seen.total, numbers)
    for stage in range(1, len(seen.stages)):
        before = Outcome.ledger.using(alias()).filter(
            job_id=seen.job_id, stage=stage - 1, state=ItemState.SUCCEEDED
        )
        strangers = Outcome.ledger.using(alias()).filter(job_id=seen.job_id, stage=stage)
        found = strangers.exclude(number__in=before.values("number")).count()
        yield _check(f"all settled in {seen.names[stage]} came through the stage before", 0, found)


def _events(seen: Seen) -> Iterator[Check]:
    """One `finished` event in a run that has ended, none in one that has not."""
    mine = Event.ledger.using(alias()).filter(job_id=seen.job_id, run=seen.run)
    ended = int(seen.status in TERMINAL)
    yield _check("finished events of this run", ended, mine.filter(kind="finished").count())
    amended = seen.revision - 1 if ended else 0
    yield _check("amended events of this run", amended, mine.filter(kind="amended").count())


def _queue(seen: Seen) -> Iterator[Check]:
    """Each open item of a running job is in exactly one range or live lease."""
    held = _held(seen)
    if seen.status is JobStatus.REVOKED:
        unclosed = Lease.ledger.using(alias()).filter(job_id=seen.job_id)
        found = unclosed.exclude(state=LeaseState.CLOSED).count()
        yield _check("leases of a revoked job that are not closed", 0, found)
    if seen.status in ACTIVE and seen.status not in CLAIMABLE | {JobStatus.PAUSED}:
        return
    if seen.status in TERMINAL:
        return
    for stage, name in enumerate(seen.names):
        places = Counter(number for at, number in held if at == stage)
        wrong = [n for n in _open_numbers(seen, stage) if places[n] != 1]
        yield _check(f"open items of {name} not in exactly one range or live lease", [], wrong[:20])


def _held(seen: Seen) -> list[tuple[int, int]]:
    """(stage, number) for every place where an item waits or is held."""
    held = [
        (row.stage, number)
        for row in ItemRange.ledger.using(alias()).filter(job_id=seen.job_id)
        for number in range(row.next, row.last + 1)
    ]
    live = Lease.ledger.using(alias()).filter(job_id=seen.job_id, state=LeaseState.LIVE)
    for lease in live:
        gone = set(lease.gone)
        spans = (Span(*span) for span in lease.ranges)
        held += [(lease.stage, n) for span in spans for n in span.numbers if n not in gone]
    return held


def _open_numbers(seen: Seen, stage: int) -> list[int]:
    settled = Outcome.ledger.using(alias()).filter(job_id=seen.job_id, stage=stage)
    if stage == 0:
        arrived = Item.ledger.using(alias()).filter(job_id=seen.job_id)
    else:
        arrived = Outcome.ledger.using(alias()).filter(
            job_id=seen.job_id, stage=stage - 1, state=ItemState.SUCCEEDED
        )
    left = set(arrived.values_list("number", flat=True))
    return sorted(left - set(settled.values_list("number", flat=True)))
