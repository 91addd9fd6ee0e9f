"""Edit: a job's name, priority and policy, while it runs or after it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joblot.config import default_policy
from joblot.ledger.db.transactions import alias, durable, knowing, repeated
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.rows.author import Author, author_of
from joblot.ledger.rows.claimable import note_claimable
from joblot.ledger.rows.job import advance, lock_job, policy_of, read_job, record_event
from joblot.ledger.rows.names import checked_name, checked_priority
from joblot.models import Job, Rate
from joblot.policy import Policy


@knowing(lambda: "editing again is safe")
def edit(
    job_id: int,
    *,
    name: str | None = None,
    priority: int | None = None,
    policy: Mapping[str, Any] | None = None,
    actor: str = "",
    reason: str = "",
) -> Job:
    """Change the job's name, priority or policy; None leaves it as it is.

    `policy` contains only what changes; None for one of its values restores the installation's
    default. Nothing that has happened is judged again: a limit counts from the next claim, renewal,
    report, expiry or end of a run on, and a deadline that is set already stays. The event "edited"
    has each change as [from, to]; there is none if nothing changes. Raises InvalidInput,
    InvalidPolicy, NotFound.
    """
    by = author_of(actor, reason)
    given: dict[str, Any] = {}
    if name is not None:
        given["name"] = checked_name(name, "name")
    if priority is not None:
        given["priority"] = checked_priority(priority)
    if _edit_once(job_id, given, policy or {}, by):
        note_claimable()
        reconcile(job_id)  # a lower `alert_failed_items` may be exceeded already
    return read_job(job_id)


@repeated
def _edit_once(
    job_id: int, given: Mapping[str, Any], policy: Mapping[str, Any], by: Author
) -> bool:
    """Locks the job's row: any code may save its name and priority, which the event quotes."""
    with durable():
        job = lock_job(job_id)
        changes = {field: value for field, value in given.items() if getattr(job, field) != value}
        edited = {field: [getattr(job, field), value] for field, value in changes.items()}
        before, after = policy_of(job).as_json(), _merged(job, policy)
        for setting in before:
            if before[setting] != after[setting]:
                edited[f"policy.{setting}"] = [before[setting], after[setting]]
                changes["policy"] = after
        if changes and advance(job_id, job.version, **changes):
            record_event(job_id, job.run, job.revision, "edited", edited, by=by)
            # Until when the rate is exhausted is a hint, which the next claim determines again.
            Rate.ledger.using(alias()).filter(pk=job_id).update(next_at=None)
        return bool(changes)


def _merged(job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """The job's policy with what is given. Raises InvalidPolicy."""
    defaults = default_policy().as_json()
    chosen = {n: defaults.get(n) if v is None else v for n, v in given.items()}
    return Policy.of(chosen, policy_of(job)).as_json()
