"""Claims of one worker: what it asks for, and what the model says of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.ranges import Span
from joblot.models import Lease as LeaseRow
from joblot.states import JobStatus, LeaseState
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_lease import Waiting
from joblot.testing.simulator.post import shown
from joblot.testing.simulator.world import World
from joblot.wire import Claim, GrantedLease, NextClaim

Ready = frozenset[tuple[int, int, int]]  # job, stage, number
NONE_READY: Ready = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a claim."""

    pipelines: tuple[str, ...]
    limit: int
    only: int | None  # of this job
    worker: str
    key: str | None

    @property
    def arguments(self) -> dict[str, Any]:
        """By the names that `claim` and `NextClaim` give them."""
        return {
            "pipelines": self.pipelines,
            "limit": self.limit,
            "job": self.only,
            "worker": self.worker,
            "idempotency_key": self.key,
        }

    def as_next(self) -> NextClaim:
        return NextClaim(**self.arguments)

    def shown(self, world: World) -> str:
        return f"up to {self.limit}{f' of {world.name(self.only)}' if self.only else ''}"


@dataclass(slots=True)
class Claims:
    """The claims of the worker of this name."""

    world: World
    worker: str
    _made: int = field(default=0)

    def draw(self, draw: Draws) -> Asked:
        world = self.world
        limit = 1 + draw.below(world.scene.claim_items_max)
        only = draw.pick([None, *world.jobs]) if world.scene.jobs_max > 1 else None
        pipelines = draw.pick([PIPELINES, PIPELINES, PIPELINES[:1], PIPELINES[1:]])
        self._made += 1
        key = f"{self.worker} {self._made}" if draw.chance(50) else None
        return Asked(pipelines, limit, only, self.worker, key)

    def answered(
        self, asked: Asked, answer: Claim, ready_before: Ready = NONE_READY
    ) -> tuple[int, str] | None:
        """Apply the answer to the model, which must allow it; returns the lease's job and token.

        A report that claims is several transactions, of which the first one claims. So
        `ready_before` were ready for it, though later ones may have settled them.
        """
        if answer.leases:
            (lease,) = answer.leases
            self._granted(lease, asked.limit, ready_before)
            return lease.job, lease.token
        self._nothing(asked)
        self.world.story[-1] += f": {answer.reason}"
        return None

    def find_orphan(self, ready_before: Ready = NONE_READY) -> str | None:
        """Find a lease that the ledger has granted without an answer.

        If its claim was made by a report that failed later, it may be released already.
        """
        known = {token for job in self.world.jobs.values() for token in job.leases}
        mine = LeaseRow.ledger.using(alias()).filter(worker=self.worker)
        for row in mine.filter(claimed_at=self.world.moment):
            if str(row.pk) not in known:
                numbers = [n for span in row.ranges for n in Span(*span).numbers]
                started = self.world.row(row.job_id).status != JobStatus.PENDING
                token = str(row.pk)
                self._adopt(row.job_id, token, row.stage, numbers, ready_before, started=started)
                if row.state == LeaseState.EXPIRED:
                    self.world.jobs[row.job_id].release(token, self.world.now)
                return token
        return None

    def _granted(self, lease: GrantedLease, limit: int, ready_before: Ready) -> None:
        world, job = self.world, self.world.jobs[lease.job]
        stage = int(lease.stage.removeprefix("s"))
        world.require(lease.run == job.run, f"{world.name(lease.job)}: a lease of run {lease.run}")
        world.require(1 <= len(lease.items) <= limit, f"{len(lease.items)} items for {limit}")
        for item in lease.items:
            known = job.waiting.get((stage, item.id), Waiting())
            tries = known.failures + known.expiries + 1
            world.require(item.attempt == tries, f"item {item.id}: attempt {item.attempt}")
            before = job.settled.get((stage - 1, item.id), (None, None))[1]
            world.require(item.input == before, f"item {item.id}: input {item.input!r}")
            world.require(item.key == f"k{item.id}", f"item {item.id}: key {item.key!r}")
        numbers = [item.id for item in lease.items]
        self._adopt(lease.job, lease.token, stage, numbers, ready_before)

    def _adopt(
        self,
        job_id: int,
        token: str,
        stage: int,
        numbers: list[int],
        ready_before: Ready,
        *,
        started: bool = True,
    ) -> None:
        """Apply the claim to the model, which must allow it."""
        world, job = self.world, self.world.jobs[job_id]
        wrong = [
            n
            for n in numbers
            if not job.is_ready(stage, n, world.now) and (job_id, stage, n) not in ready_before
        ]
        world.require(not wrong, f"{world.name(job_id)} s{stage}: granted {wrong}, not ready")
        alone = len(numbers) == 1 or not any(job.waiting[stage, n].alone for n in numbers)
        world.require(alone, f"{world.name(job_id)} s{stage}: one of {numbers} must go alone")
        job.claim(token, stage, numbers, world.now, starts=started)
        exceeds = world.limits.grant(PIPELINES[stage], len(numbers), world.now)
        world.require(not exceeds, f"{PIPELINES[stage]}: a claim exceeds its limit: {exceeds}")
        world.figures["leases"] += 1
        world.story[-1] += f": {world.name(job_id)} s{stage} {shown(numbers)}"
        world.compare(job_id)

    def _nothing(self, asked: Asked) -> None:
        world, limits, now = self.world, self.world.limits, self.world.now
        for job_id, job in world.jobs.items():
            if asked.only in (None, job_id) and not job.deleted:
                served = [s for s in range(job.stages) if PIPELINES[s] in asked.pipelines]
                ready = [s for s in served if job.must_serve(s, now)]
                waits = [s for s in ready if limits.must_grant(PIPELINES[s], now)]
                world.require(
                    not waits, f"{world.name(job_id)}: nothing granted, s{waits} is ready"
                )
                for stage in ready:
                    limits.refuse(PIPELINES[stage], now)
                world.figures["refused for a limit"] += bool(ready)
