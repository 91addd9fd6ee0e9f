"""Repair: restore what can be derived from a job's outcomes, and report what was changed.

Outcomes are the source of truth and are never changed. What is derived from them is restored:
tallies and metrics, and the queue of a running job. Correct reports change outcomes and tallies
together, so they don't affect the difference between the two, and work need not stop: the
difference is computed in one snapshot and added in the same transaction. The job's row is locked
first and its version goes up, so that concurrent repairs don't both add it, and a reconciliation
that was decided on the previous tallies is decided again.

A job that has ended keeps its report. It is repaired only if what it recorded then agrees with its
tallies, or an amendment can make it agree: one that the state machine allows, with no fewer
successes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated, require_durable
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.read.audit import audit, count_drift, metric_drift, places_of_open, recount
from joblot.ledger.rows.due import JobSnapshot, decide, read_snapshot
from joblot.ledger.rows.job import advance, lock_job
from joblot.ledger.rows.log import log
from joblot.ledger.rows.ranges import RELEASED, Span, enqueue, islands
from joblot.ledger.rows.tallies import Deltas
from joblot.models import MAY_SETTLE, Lease
from joblot.states import TRANSITIONS, JobStatus, JobTransition

Change = dict[str, Any]


def repair(job_id: int) -> dict[str, Any]:
    """Repair a job; returns what `audit` then returns, and `changes`.

    A change is `{"what", "before", "after"}`, and is written to the job's log. Checks that could
    not be repaired still fail. Raises NotFound; NotDurable inside a transaction.
    """
    require_durable(connection())
    changes = [*_repair_counts(job_id), *_close(job_id)]
    if changes:
        reconcile(job_id)
    for change in changes:
        text = f"repair: {change['what']}: {change['before']} became {change['after']}"
        log(job_id, text, level="warning")
    return {**audit(job_id), "changes": changes}


@repeated
def _repair_counts(job_id: int) -> list[Change]:
    """Locks the job's row, then slots by stage."""
    with one_snapshot(writes=True):
        job = lock_job(job_id)
        seen = read_snapshot(job_id)
        assert seen is not None
        deltas = Deltas(len(seen.stages))
        changes = [*_counts(seen, deltas), *_metrics(seen, deltas), *_queue(seen)]
        if changes:
            advance(job_id, job.version)
            deltas.write(job_id)
    return changes


def _counts(seen: JobSnapshot, deltas: Deltas) -> list[Change]:
    """Make the tallies equal the recount, unless the job has ended with other, final counts."""
    drift = count_drift(seen)
    if not drift or not _may_be_recorded(seen):
        return []
    changes = []
    for stage, differs in drift.items():
        deltas.by_stage[stage] = differs
        before = asdict(seen.stages[stage])
        after = {name: items + differs[name] for name, items in before.items()}
        changes.append(_change(f"tallies of {seen.names[stage]}", before, after))
        if differs["late"]:
            changes.append(_change(f"late results of {seen.names[stage]}", 0, differs["late"]))
    return changes


def _may_be_recorded(seen: JobSnapshot) -> bool:
    """Whether the recount agrees with the job's report, if it has ended, or may amend it."""
    truth = replace(seen, stages=tuple(recount(seen)))
    if seen.recorded is None or seen.recorded == truth.counts:
        return True
    due = decide(truth)
    allowed = TRANSITIONS.get((seen.status, JobTransition.AMEND), frozenset())
    no_less = truth.counts[-1]["succeeded"] >= seen.recorded[-1]["succeeded"]
    return due is not None and due.status in allowed and no_less


def _metrics(seen: JobSnapshot, deltas: Deltas) -> list[Change]:
    drift = metric_drift(seen)
    deltas.metrics = Counter(drift)
    return [
        _change(f"metric {name} of {seen.names[stage]}, by", 0, value)
        for (stage, name), value in sorted(drift.items())
    ]


def _queue(seen: JobSnapshot) -> list[Change]:
    """Requeue open items that are in no range or lease, as released: some may settle by then."""
    changes = []
    for stage, places in places_of_open(seen).items():
        lost = sorted(number for number, count in places.items() if count == 0)
        if lost:
            spans = [Span(first, last, returns=RELEASED) for first, last in islands(lost)]
            enqueue(seen.job_id, stage, spans)
            changes.append(_change(f"open items of {seen.names[stage]} nowhere", len(lost), 0))
    return changes


def _close(job_id: int) -> list[Change]:
    """Close the leases of a canceled job through which an item could still be settled."""
    seen = read_snapshot(job_id)
    if seen is None or seen.status is not JobStatus.REVOKED:
        return []
    unclosed = Lease.ledger.using(alias()).filter(MAY_SETTLE, job_id=job_id).count()
    if not unclosed:
        return []
    close_leases(job_id, seen.run, unsettled=True)
    return [_change("leases of a revoked job that are not closed", unclosed, 0)]


def _change(what: str, before: Any, after: Any) -> Change:
    return {"what": what, "before": before, "after": after}
