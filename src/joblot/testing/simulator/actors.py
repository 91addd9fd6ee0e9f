"""The other actors: operators, sweepers, and the weather, which is time and the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from joblot.states import (
    AMENDABLE,
    CANCELABLE,
    FILLABLE,
    FINALIZABLE,
    RETRYABLE,
    TERMINAL,
    JobStatus,
)
from joblot.testing.simulator import model
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.trouble import CALM, Trouble
from joblot.testing.simulator.workers import trouble_of
from joblot.testing.simulator.world import CallResult, Violation, World

BEGUN = "retry: next run begun"  # a fault point
OUTAGE_CALLS_MAX = 6
JUMP = 5 * 3_600  # seconds
FROZEN_SECONDS_MAX = 600


@dataclass(slots=True)
class Operator:
    """Any caller of the verbs on whole jobs: a server, a command line, an adopter's code."""

    world: World
    name: str

    def act(self, draw: Draws) -> None:
        jobs = [job_id for job_id, job in self.world.jobs.items() if not job.deleted]
        if not jobs:
            return
        job_id = draw.pick(jobs)
        verb = draw.pick(
            ["resume", "start", "seal", "retry", "add", "expire", "retry", "pause", "cancel",
             "expire", "resume", "tidy", "cancel", "delete", "prune"]
        )  # fmt: skip
        getattr(self, verb)(job_id, self.world.jobs[job_id], draw)

    def add(self, job_id: int, job: model.Job, draw: Draws) -> None:
        allowed = not job.sealed and job.status in FILLABLE and job.reopening is None
        items = job.total + 1 + draw.below(3)
        keys = [f"k{n}" for n in range(items)]  # including the existing ones
        then = lambda: job.add(items - job.total)  # noqa: E731
        self._insist(job_id, "add_items", allowed, then, draw, keys)

    def seal(self, job_id: int, job: model.Job, draw: Draws) -> None:
        self._insist(job_id, "seal", job.sealed or job.status in FILLABLE, job.seal, draw)

    def start(self, job_id: int, job: model.Job, draw: Draws) -> None:
        self._insist(job_id, "start", True, job.start, draw)

    def pause(self, job_id: int, job: model.Job, draw: Draws) -> None:
        allowed = job.status in ("PENDING", "STARTED", "PAUSED")
        self._insist(job_id, "pause", allowed, job.pause, draw)

    def resume(self, job_id: int, job: model.Job, draw: Draws) -> None:
        allowed = job.status in ("PENDING", "STARTED", "PAUSED")
        self._insist(job_id, "resume", allowed, job.resume, draw)

    def cancel(self, job_id: int, job: model.Job, draw: Draws) -> None:
        grace = draw.pick([0, model.GRACE])
        allowed = job.status in CANCELABLE | {JobStatus.CANCELING, JobStatus.REVOKED}
        flying = self.world.in_flight(job_id, job)
        then = lambda: job.cancel(self.world.now, grace, flying)  # noqa: E731
        self._insist(job_id, "cancel", allowed, then, draw, grace_seconds=grace)

    def delete(self, job_id: int, job: model.Job, draw: Draws) -> None:
        self._insist(job_id, "delete", True, lambda: job.delete(self.world.now), draw)

    def prune(self, _: int, job: model.Job, draw: Draws) -> None:
        """Jobs that ended long enough ago are removed, and no others."""
        world, seconds = self.world, draw.pick([model.LEASE, 100, 0])
        due = world.ended_before(seconds)
        world.say(f"{self.name} prunes what ended {seconds} s ago: {len(due)} jobs")
        answer = world.call("prune", seconds, trouble=trouble_of(world, draw))
        if answer.answered:
            world.require(answer.value == len(due), f"pruned {answer.value}, expected {len(due)}")
            world.figures["removed"] += len(due)
        for known in due if not answer.away else []:
            if answer.answered:
                world.jobs[known].remove()
            world.notice_removal(known)
        for known in world.jobs:
            world.compare(known)

    def retry(self, job_id: int, job: model.Job, draw: Draws) -> None:
        """All that did not succeed, or one cause; a retry that was begun is continued as it is.

        A cause is retried within the run while it goes on.
        """
        half = job.status is JobStatus.CREATED and job.reopening is not None
        trouble = trouble_of(self.world, draw, BEGUN)
        causes = {} if half else self.world.causes(job_id)
        chosen, ask = None, {}
        if causes and draw.chance(50):
            cause = draw.pick(sorted(causes))
            chosen = causes[cause]
            ask = {"cause": cause, "expected": len(chosen)}
        within = chosen is not None and job.status in FINALIZABLE
        allowed = half or within or job.status in (RETRYABLE if chosen is None else AMENDABLE)
        then = partial(job.retry, chosen)
        begun = partial(job.begin_run, chosen) if trouble.point and not half else None
        if chosen is not None and within:
            then, begun = partial(job.reopen, chosen), None
        self._insist(job_id, "retry", allowed, then, trouble, halfway=begun, **ask)
        self.world.figures["retried by cause"] += int(allowed and chosen is not None)

    def expire(self, job_id: int, job: model.Job, draw: Draws) -> None:
        """Expire a lease as if its worker were dead, whether it is or not."""
        if not job.leases:
            return
        world, token = self.world, draw.pick(list(job.leases))
        world.say(f"{self.name} expires a lease of {world.name(job_id)}")
        answer = world.call("expire", token, trouble=trouble_of(world, draw))
        if answer.answered:
            expired = job.expire(token, world.now)
            world.require(answer.value >= expired, "a live lease did not expire")
        elif not answer.away and world.has_expired(token):
            job.expire(token, world.now, reconciles=False)
            world.notice_reconciled(job_id)
        world.compare(job_id)

    def tidy(self, job_id: int, job: model.Job, draw: Draws) -> None:
        world = self.world
        world.say(f"{self.name} merges ranges, folds {world.name(job_id)}")
        world.call("merge_ranges", trouble=trouble_of(world, draw))
        if job.status in TERMINAL:
            answer = world.call("fold", job_id, trouble=trouble_of(world, draw))
            world.require(
                not answer.answered or answer.value != job.is_due,
                "folded though reconciling is due",
            )
        world.compare(job_id)

    def _insist(
        self,
        job_id: int,
        verb: str,
        allowed: bool,
        then: Callable[[], Any],
        draw: Draws | Trouble,
        *args: Any,
        halfway: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Repeat the call until it is answered; the effect must be that of one call."""
        world = self.world
        trouble = draw if isinstance(draw, Trouble) else trouble_of(world, draw)
        world.say(f"{self.name}: {verb} {world.name(job_id)}")
        first = answer = world.call(verb, job_id, *args, trouble=trouble, **kwargs)
        if answer.away:
            return
        if answer.dead and halfway:
            halfway()
            world.compare(job_id)
            return
        if not first.answered:
            answer = world.call(verb, job_id, *args, trouble=CALM, **kwargs)
        self._judge(answer, first, allowed, verb)
        if allowed:
            then()
        else:
            world.story[-1] += ": refused"
        if not first.answered and answer.refusal:
            Sweeper(world, self.name).sweep(
                CALM
            )  # the caller that committed may have died before reconciling
        world.compare(job_id)

    def _judge(self, answer: CallResult, first: CallResult, allowed: bool, verb: str) -> None:
        if allowed and first.answered and answer.refusal:
            raise Violation(f"{verb} was refused: {answer.refusal}")
        if not allowed and not answer.refusal:
            raise Violation(f"{verb} was not refused")


@dataclass(slots=True)
class Sweeper:
    world: World
    name: str
    frozen_until: int = 0

    def act(self, draw: Draws) -> None:
        if 0 < self.frozen_until - self.world.now <= FROZEN_SECONDS_MAX:
            return  # it ignores the database's clock, which may have been wrong
        if draw.chance(5):
            self.frozen_until = self.world.now + draw.pick([10, 60, FROZEN_SECONDS_MAX])
            self.world.say(f"{self.name} freezes until {self.frozen_until} s")
            return
        self.sweep(trouble_of(self.world, draw))

    def sweep(self, trouble: Trouble) -> None:
        """Sweep; if the sweeper dies, another one completes its work."""
        world = self.world
        world.say(f"{self.name} sweeps")
        if world.away_calls:
            world.call("sweep")
            return
        for job in world.jobs.values():
            for token, lease in job.leases.items():
                if job.is_overdue(lease, world.now):
                    job.expire(token, world.now)
        flying = {i: world.in_flight(i, job) for i, job in world.jobs.items()}
        if not world.call("sweep", trouble=trouble).answered:
            world.say(f"another sweeps after {self.name}")
            world.call("sweep")
        for job_id, job in world.jobs.items():
            job.end_cancel(world.now, flying[job_id])
            job.go_on_reopening()
            job.reconcile()
            if job.deleted:
                job.purge()
            world.compare(job_id)


@dataclass(slots=True)
class Weather:
    """Time, and the database's network."""

    world: World
    name: str = "weather"
    ahead: int = 0  # seconds by which the database's clock is wrong now

    def act(self, draw: Draws) -> None:
        if self.ahead:
            self.come_back()
        elif draw.chance(self.world.scene.jumps_percent):
            self.ahead = JUMP
            self.world.now += JUMP
            self.world.say(f"the database's clock jumps ahead by {JUMP} s")
        elif draw.chance(self.world.scene.trouble_percent // 2):
            self.world.away_calls = 1 + draw.below(OUTAGE_CALLS_MAX)
            self.world.say(f"the database is away for {self.world.away_calls} calls")
        else:
            self.world.now += draw.pick(self.world.scene.waits)

    def come_back(self) -> None:
        """Correct the clock. A worker that renewed meanwhile is treated as dead."""
        world = self.world
        world.now, self.ahead, world.away_calls = world.now - self.ahead, 0, 0
        world.say(f"the database's clock jumps back by {JUMP} s")
        sweeper = Sweeper(world, self.name)
        for job in world.jobs.values():
            job.shorten_waits(world.now)
        world.limits.set_clock_back(world.now)
        sweeper.sweep(CALM)
        for job_id, job in world.jobs.items():
            for token, lease in job.leases.items():
                if job.is_live(lease) and lease.deadline > world.now + model.LEASE + model.SLACK:
                    world.call("expire", token)
                    job.expire(token, world.now)
            world.compare(job_id)
