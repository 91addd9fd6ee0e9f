"""A lease that a report has locked, and what its results are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection
from joblot.ledger.report import uncounted
from joblot.ledger.report.hook_calls import HookScope
from joblot.ledger.report.judge import View
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows import workers
from joblot.ledger.rows.items import OutcomeRow, outcomes_by_number
from joblot.ledger.rows.job import advance, policy_of, read_job
from joblot.ledger.rows.lease import state_of
from joblot.ledger.rows.ranges import Span
from joblot.models import NO_OWNER, Job, Lease
from joblot.states import AMENDABLE, JobStatus, LeaseState

# The statuses in which a cancel or a removal may have read the counts and not yet changed the job.
_COUNTS_MAY_BE_READ = AMENDABLE | {JobStatus.CANCELING}


@dataclass(frozen=True, slots=True)
class Held:
    """The lease's row, locked until the transaction ends; its job and stage as they are then."""

    lease: Lease
    job: Job
    spans: tuple[Span, ...]
    stage_name: str
    pipeline: str
    stages_total: int

    @classmethod
    def lock(cls, token: UUID) -> Self | None:
        """Lock the lease, the mutex between this report and expiry, cancel and retry.

        Raises WorkerRevoked if its worker was revoked before that.
        """
        leases = Lease.ledger.using(alias()).select_for_update().filter(pk=token)
        lease = next(iter(leases), None)
        if lease is None:
            return None
        ((stage_name, pipeline, stages_total, revoked_at),) = fetch(
            connection(),
            "report/held",
            job=lease.job_id,
            stage=lease.stage,
            owner=lease.owner or NO_OWNER,
            instance=lease.worker,
        )
        if revoked_at is not None:
            raise workers.refusal(lease.worker, moment(revoked_at))
        return cls(
            lease=lease,
            job=read_job(lease.job_id, deleted=True),
            spans=tuple(Span(*span) for span in lease.ranges),
            stage_name=stage_name,
            pipeline=pipeline,
            stages_total=stages_total,
        )

    @property
    def scope(self) -> HookScope:
        lease = self.lease
        config = self.job.config if self.job.run == lease.run else None
        return HookScope(self.job_id, lease.run, self.stage, self.stage_name, self.pipeline, config)

    @property
    def job_id(self) -> int:
        return self.lease.job_id

    @property
    def stage(self) -> int:
        return self.lease.stage

    @property
    def state(self) -> LeaseState:
        return state_of(self.lease, self.job)

    def in_its_run(self) -> Self:
        """The same with the job as it is now. Its row is locked, so no other verb changes it.

        If a cancel or a removal may be in progress, the version is raised, so that it reads the
        counts again before it ends the run or marks the job.
        """
        jobs = Job.ledger.using(alias()).select_for_update(no_key=True)
        held = replace(self, job=jobs.get(pk=self.job_id))
        may_be_read = held.job.status in _COUNTS_MAY_BE_READ
        if may_be_read and held.state is not LeaseState.CLOSED:
            advance(held.job_id, held.job.version)
        return held

    @property
    def is_live(self) -> bool:
        return bool(self.lease.state == LeaseState.LIVE)

    @property
    def last_stage(self) -> bool:
        return self.stage == self.stages_total - 1

    def view(self, pending: Sequence[PendingResult]) -> View:
        """What is committed now of the items of these results."""
        numbers = [one.number for one in pending]
        outcomes = outcomes_by_number(self.job_id, self.stage, numbers)
        contested = [
            one.number for one in pending if self._may_be_kept(one, outcomes.get(one.number))
        ]
        return View(
            lease=self.state,
            spans=self.spans,
            given_up=frozenset(self.lease.gone),
            failures_max=policy_of(self.job).failures_max,
            last_stage=self.last_stage,
            why_late=uncounted.why_late(self.job, self.lease),
            outcomes=outcomes,
            kept=uncounted.kept_of(self.lease, contested) if contested else frozenset(),
        )

    def _may_be_kept(self, one: PendingResult, outcome: OutcomeRow | None) -> bool:
        """Whether it may have to be kept uncounted: no repeat, and nothing open that counts."""
        if outcome is None:
            return one.succeeded and self.state is LeaseState.CLOSED
        return one.succeeded and outcome.hash != one.hash
