"""Workers: they claim, compute, post in any order and as often as they like, and die."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from joblot.errors import Unavailable
from joblot.states import Receipt, ReportedOutcome
from joblot.testing.simulator import model, posting
from joblot.testing.simulator.claims import NONE_READY, Asked, Claims, Ready
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.post import KINDS, WEIGHTS, Post, given_of, shown_given
from joblot.testing.simulator.trouble import CALM, Kind, Trouble
from joblot.testing.simulator.world import CallResult, World
from joblot.wire import Claim, ItemReceipt, Reported

NOT_RECONCILED = "report: committed, not looked"  # a fault point
OUTBOX_MAX = 6


@dataclass(slots=True)
class Worker:
    world: World
    name: str
    skew: int = 0  # seconds that its own clock is ahead
    leases: list[tuple[int, str]] = field(default_factory=list)  # job, token
    outbox: list[Post] = field(default_factory=list)
    idle_at: int = -1  # when it last found nothing to claim
    claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        self.claims = Claims(self.world, self.name)

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
        world, asked = self.world, self.claims.draw(draw)
        trouble = trouble or self._trouble(draw)
        world.say(f"{self.name} claims {asked.shown(world)}")
        answer = world.call("claim", trouble=trouble, **asked.arguments)
        if answer.answered:
            self._take(asked, answer.value)
        elif not answer.away:
            self._claim_again(answer, asked)

    def _take(self, asked: Asked, answer: Claim, ready_before: Ready = NONE_READY) -> None:
        """Apply an answer to a claim."""
        granted = self.claims.answered(asked, answer, ready_before)
        if granted is None:
            self.idle_at = self.world.now
        else:
            self.leases.append(granted)

    def _claim_again(self, answer: CallResult, asked: Asked) -> None:
        """An unanswered claim may have granted a lease; with a key the worker still gets it."""
        orphan = self.claims.find_orphan()
        if answer.dead:
            self.forget()
        elif asked.key:
            self.world.say(f"{self.name} claims again with the same key")
            again = self.world.call("claim", **asked.arguments)
            if again.answered and again.value.leases:
                lease = again.value.leases[0]
                self.world.require(orphan in (None, lease.token), "the same key got another lease")
                if orphan is None:
                    self._take(asked, again.value)
                else:
                    self.leases.append((lease.job, lease.token))

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
        next_ = self.claims.draw(draw) if draw.chance(30) else None
        answer = self.send(post, trouble, next_)
        if answer.dead:
            self.forget()
        elif not answer.answered:
            self.outbox.append(post)  # it got no answer, so it posts them again
        elif draw.chance(self.world.scene.duplicates_percent):
            self.outbox.append(post)
            self.world.figures["posted again"] += len(post.given)

    def send(self, post: Post, trouble: Trouble = CALM, next_: Asked | None = None) -> CallResult:
        """Report, and with `next_` claim in the same call."""
        world, job = self.world, self.world.jobs[post.job_id]
        stage = job.leases[post.token].stage
        claims = f", and claims {next_.shown(world)}" if next_ else ""
        world.say(
            f"{self.name} reports {world.name(post.job_id)} s{stage} "
            f"{shown_given(post.given)}{claims}"
        )
        verb, more = ("report_and_claim", [next_.as_next()]) if next_ else ("report", [])
        numbers = [number for number, *_ in post.given]
        ready = frozenset(
            (post.job_id, stage, n) for n in numbers if job.is_ready(stage, n, world.now)
        )
        with world.rival.beside(post.job_id, post.token, numbers):
            answer = world.call(verb, post.token, post.results(), *more, trouble=trouble)
        world.require(not world.rival.waited_for, "a report waited for what another one holds")
        if answer.away:
            return answer
        if not answer.answered:
            posting.apply_as_seen(world, post.job_id, post.token, post.given)
            if next_:
                self.claims.find_orphan(ready)
            world.compare(post.job_id)
            return answer
        if next_ is None:
            self._received(post, answer.value)
        else:
            self._received(post, answer.value.receipts)
            self._claimed_next(next_, answer.value, ready, trouble)
        world.compare(post.job_id)
        return answer

    def _claimed_next(
        self, asked: Asked, answer: Reported, ready_before: Ready, trouble: Trouble
    ) -> None:
        """Apply the claim of a report that was answered; only that trouble may have stopped it."""
        world, error = self.world, answer.claim_error
        if answer.claim is not None:
            self._take(asked, answer.claim, ready_before)
            world.figures["claimed by a report"] += len(answer.claim.leases)
            return
        cut = trouble.kind is Kind.CUT and isinstance(error, Unavailable)
        world.require(cut, f"the claim was refused: {error}")
        world.story[-1] += f"  [{trouble}]"
        self.claims.find_orphan(ready_before)

    def _received(self, post: Post, receipts: Sequence[ItemReceipt]) -> None:
        """Apply the receipts, which must be those of the model."""
        world, job = self.world, self.world.jobs[post.job_id]
        stage = job.leases[post.token].stage
        found = [one.receipt for one in receipts]
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
