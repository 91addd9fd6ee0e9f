"""Workers: they claim, compute, post in any order and as often as they like, and die."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from joblot.ledger.db.transactions import alias
from joblot.ledger.rows.ranges import Span
from joblot.models import Lease as LeaseRow
from joblot.states import JobStatus, Receipt, ReportedOutcome
from joblot.testing.simulator import model, posting
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_lease import Waiting
from joblot.testing.simulator.post import KINDS, WEIGHTS, Post, given_of, shown, shown_given
from joblot.testing.simulator.trouble import CALM, Kind, Trouble
from joblot.testing.simulator.world import CallResult, World
from joblot.wire import GrantedLease

NOT_RECONCILED = "report: committed, not looked"  # a fault point
OUTBOX_MAX = 6


@dataclass(slots=True)
class Worker:
    world: World
    name: str
    verb: str = "report"  # the way by which it reports
    skew: int = 0  # seconds that its own clock is ahead
    leases: list[tuple[int, str]] = field(default_factory=list)  # job, token
    outbox: list[Post] = field(default_factory=list)
    claims: int = 0
    idle_at: int = -1  # when it last found nothing to claim

    def act(self, draw: Draws) -> None:
        idle = self.world.scene.patient and self.idle_at == self.world.now
        if not self.world.jobs or (idle and not self.leases and not self.outbox):
            return
        if not self.outbox and not self.leases and not draw.chance(5):
            self.claim(draw)
        elif len(self.outbox) >= OUTBOX_MAX:
            self.post(draw)
        else:
            turn = draw.below(100)
            for share, action in self._turns():
                if turn < share:
                    action(draw)
                    return
                turn -= share

    def _turns(self) -> list[tuple[int, Any]]:
        return [
            (28, self.compute),
            (40, self.post),
            (20, self.claim),
            (5, self.tend),
            (3, self.release),
            (2, self.jump),
            (2, self.die),
        ]

    # Claiming

    def claim(self, draw: Draws, trouble: Trouble | None = None) -> None:
        world = self.world
        limit = 1 + draw.below(world.scene.claim_items_max)
        only = draw.pick([None, *world.jobs]) if world.scene.jobs_max > 1 else None
        pipelines = draw.pick([PIPELINES, PIPELINES, PIPELINES[:1], PIPELINES[1:]])
        self.claims += 1
        key = f"{self.name} {self.claims}" if draw.chance(50) else None
        trouble = trouble or self._trouble(draw)
        of = f" of {world.name(only)}" if only else ""
        world.say(f"{self.name} claims up to {limit}{of}")
        ask: dict[str, Any] = {"job": only, "worker": self.name, "idempotency_key": key}
        answer = world.call("claim", pipelines, limit, trouble=trouble, **ask)
        if not answer.answered:
            self._claim_again(answer, pipelines, limit, ask)
        elif answer.value.leases:
            self._granted(answer.value.leases[0], limit)
        else:
            self.idle_at = world.now
            self._nothing(pipelines, only)
            world.story[-1] += f": {answer.value.reason}"

    def _claim_again(self, answer: CallResult, pipelines: Any, limit: int, ask: Any) -> None:
        """An unanswered claim may have granted a lease; with a key the worker still gets it."""
        if answer.away:
            return
        orphan = self._find_orphan()
        if answer.dead:
            self.forget()
        elif ask["idempotency_key"]:
            self.world.say(f"{self.name} claims again with the same key")
            again = self.world.call("claim", pipelines, limit, **ask)
            if again.answered and again.value.leases:
                known = again.value.leases[0].token
                self.world.require(orphan in (None, known), "the same key got another lease")
                if orphan is None:
                    self._granted(again.value.leases[0], limit)
                else:
                    self.leases.append((again.value.leases[0].job, known))

    def _find_orphan(self) -> str | None:
        """Find a lease that the ledger has granted without an answer."""
        known = {token for job in self.world.jobs.values() for token in job.leases}
        mine = LeaseRow.ledger.using(alias()).filter(worker=self.name)
        for row in mine.filter(claimed_at=self.world.moment):
            if str(row.pk) not in known:
                numbers = [n for span in row.ranges for n in Span(*span).numbers]
                started = self.world.row(row.job_id).status != JobStatus.PENDING
                self._adopt(row.job_id, str(row.pk), row.stage, numbers, started=started)
                return str(row.pk)
        return None

    def _granted(self, lease: GrantedLease, limit: int) -> None:
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
        self._adopt(lease.job, lease.token, stage, [item.id for item in lease.items])
        self.leases.append((lease.job, lease.token))

    def _adopt(
        self, job_id: int, token: str, stage: int, numbers: list[int], *, started: bool = True
    ) -> None:
        """Apply the claim to the model, which must allow it."""
        world, job = self.world, self.world.jobs[job_id]
        wrong = [n for n in numbers if not job.is_ready(stage, n, world.now)]
        world.require(not wrong, f"{world.name(job_id)} s{stage}: granted {wrong}, not ready")
        alone = len(numbers) == 1 or not any(job.waiting[stage, n].alone for n in numbers)
        world.require(alone, f"{world.name(job_id)} s{stage}: one of {numbers} must go alone")
        job.claim(token, stage, numbers, world.now, starts=started)
        world.figures["leases"] += 1
        world.story[-1] += f": {world.name(job_id)} s{stage} {shown(numbers)}"
        world.compare(job_id)

    def _nothing(self, pipelines: tuple[str, ...], only: int | None) -> None:
        world = self.world
        for job_id, job in world.jobs.items():
            if only in (None, job_id) and not job.deleted:
                served = [s for s in range(job.stages) if PIPELINES[s] in pipelines]
                waits = [s for s in served if job.is_any_ready(s, world.now)]
                world.require(
                    not waits, f"{world.name(job_id)}: nothing granted, s{waits} is ready"
                )

    # Computing and posting

    def compute(self, draw: Draws) -> None:
        """Compute results for some items of a lease; they wait in the outbox."""
        if not self.leases:
            self.claim(draw)
            return
        place = draw.below(len(self.leases))
        job_id, token = self.leases[place]
        numbers = sorted(self.world.jobs[job_id].leases[token].held)
        whole = draw.chance(60) or not self.world.scene.failures
        some = numbers if whole else numbers[: 1 + draw.below(len(numbers))]
        kinds = draw.many(len(some), KINDS, WEIGHTS)
        if not self.world.scene.failures:
            kinds = ["a"] * len(some)
        given = tuple(given_of(n, kind) for n, kind in zip(some, kinds, strict=True))
        self.outbox.append(Post(job_id, token, given))
        self.world.say(f"{self.name} has done {self.world.name(job_id)} {shown_given(given)}")
        if whole:
            del self.leases[place]

    def post(self, draw: Draws) -> None:
        """Post anything from the outbox, perhaps to post it again later."""
        if not self.outbox:
            self.compute(draw)
            return
        post = self.outbox.pop(draw.below(len(self.outbox)))
        trouble = self._trouble(draw, NOT_RECONCILED)
        answer = self.send(post, trouble)
        if answer.dead:
            self.forget()
        elif not answer.answered:
            self.outbox.append(post)  # it got no answer, so it posts them again
        elif draw.chance(self.world.scene.duplicates_percent):
            self.outbox.append(post)
            self.world.figures["posted again"] += len(post.given)

    def send(self, post: Post, trouble: Trouble = CALM) -> CallResult:
        world, job = self.world, self.world.jobs[post.job_id]
        lease = job.leases[post.token]
        stage = lease.stage
        world.say(
            f"{self.name} reports {world.name(post.job_id)} s{stage} {shown_given(post.given)}"
        )
        numbers = [number for number, *_ in post.given]
        with world.rival.beside(post.job_id, post.token, numbers):
            answer = world.call(self.verb, post.token, post.results(), trouble=trouble)
        world.require(not world.rival.waited_for, "a report waited for what another one holds")
        if answer.away:
            return answer
        if not answer.answered:
            posting.apply_as_seen(world, post.job_id, post.token, post.given)
            world.compare(post.job_id)
            return answer
        found = [one.receipt for one in answer.value]
        expected = job.report(post.token, post.given, world.now)
        world.require(found == expected, f"receipts: expected {expected}, found {found}")
        world.story[-1] += f": {', '.join(found[:8])}"
        world.figures["results"] += len(found)
        world.receipts.update(found)
        good = (Receipt.COUNTED, Receipt.AMENDED)
        for (number, outcome, *_), receipt in zip(post.given, found, strict=True):
            settled = job.settled.get((stage, number))
            if (
                receipt in good
                and outcome is ReportedOutcome.SUCCEEDED
                and settled
                and settled[0] == 1
            ):
                world.acknowledged.add((post.job_id, stage, number))
        world.compare(post.job_id)
        return answer

    # Other events of leases

    def tend(self, draw: Draws) -> None:
        """By its own clock, right or wrong: renew leases near their end, drop those past it."""
        for place, (job_id, token) in reversed(list(enumerate(self.leases))):
            left = self.world.jobs[job_id].leases[token].deadline - (self.world.now + self.skew)
            if left < 0:
                self.world.say(
                    f"{self.name} drops its lease of {self.world.name(job_id)} as expired"
                )
                del self.leases[place]
            elif left < model.LEASE / 2:
                self.renew(job_id, token, self._trouble(draw))

    def renew(self, job_id: int, token: str, trouble: Trouble) -> None:
        world, job = self.world, self.world.jobs[job_id]
        lease = job.leases[token]
        world.say(f"{self.name} renews its lease of {world.name(job_id)}")
        answer = world.call("renew", token, trouble=trouble)
        if answer.answered and answer.refusal:
            world.require(not job.is_live(lease), "a live lease was not renewed")
            world.story[-1] += ": ended"
        elif answer.answered:
            lease.deadline = world.now + model.LEASE
        elif not answer.away and not lease.removed:
            ends = world.lease_row(token).expires_at
            if (ends - world.moment).total_seconds() == model.LEASE:
                lease.deadline = world.now + model.LEASE
        if answer.dead:
            self.forget()

    def release(self, draw: Draws) -> None:
        if not self.leases:
            return
        job_id, token = self.leases.pop(draw.below(len(self.leases)))
        world, job = self.world, self.world.jobs[job_id]
        world.say(f"{self.name} releases its lease of {world.name(job_id)}")
        answer = world.call("release", token, trouble=self._trouble(draw))
        if answer.answered and answer.refusal:
            world.require(job.leases[token].removed, "a release was refused")
        elif answer.answered:
            back = job.release(token, world.now)
            world.require(answer.value == back, f"gave back {answer.value}, expected {back}")
        elif not answer.away and world.has_expired(token):
            job.release(token, world.now)
        if answer.dead:
            self.forget()
        world.compare(job_id)

    def jump(self, draw: Draws) -> None:
        self.skew = draw.pick([0, 3_600, -3_600, model.LEASE])
        self.world.say(f"{self.name}'s clock jumps to {self.skew:+} s")

    def die(self, _: Draws) -> None:
        self.world.say(f"{self.name} dies with {len(self.leases)} leases, {len(self.outbox)} posts")
        self.world.figures["died"] += 1
        self.forget()

    def forget(self) -> None:
        self.leases.clear()
        self.outbox.clear()

    def _trouble(self, draw: Draws, *points: str) -> Trouble:
        return trouble_of(self.world, draw, *points)


def trouble_of(world: World, draw: Draws, *points: str) -> Trouble:
    """Draw the trouble of the next call: usually none."""
    if not draw.chance(world.scene.trouble_percent):
        return CALM
    kind = draw.pick([Kind.LOST, Kind.CUT, Kind.KILLED, *([None, None] if points else [])])
    if kind is None:
        return Trouble(Kind.KILLED, point=draw.pick(points))
    return Trouble(kind, statement=draw.below(12))
