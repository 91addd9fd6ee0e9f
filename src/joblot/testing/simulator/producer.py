"""Producers: they submit, repeat until answered, and reuse keys for other submissions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from joblot.errors import JoblotError, KeyConflict, WrongStatus
from joblot.ledger.db.transactions import alias
from joblot.models import Job as JobRow
from joblot.states import FILLABLE, JobStatus
from joblot.testing.simulator import model
from joblot.testing.simulator.history import Draws
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.trouble import CALM
from joblot.testing.simulator.workers import trouble_of
from joblot.testing.simulator.world import POLICY, CallResult, World

CHUNK = "submit: chunk added"  # a fault point


@dataclass(frozen=True, slots=True)
class Submission:
    """A producer's submission, which it repeats until it is answered."""

    key: str
    stages: int
    items: int
    start: bool
    seal: bool
    config: int | None = None

    @property
    def content(self) -> tuple[Any, ...]:
        """What identifies the submission, apart from its items, which are k0, k1 and so on."""
        return self.stages, self.config

    def refusal(self, job: model.Job) -> type[JoblotError] | None:
        """The error for this submission if `job` has its key; None if it is accepted."""
        if job.asked != self.content:
            return KeyConflict
        goes_on = (
            self.start and job.status is JobStatus.CREATED
        )  # continues a retry before adding items
        taking = job.status in FILLABLE and (job.reopening is None or goes_on)
        if self.items > job.total and not (taking and not job.sealed):
            return KeyConflict if job.sealed else WrongStatus
        if self.seal and self.items < job.total:
            return KeyConflict
        return WrongStatus if self.seal and not job.sealed and job.status not in FILLABLE else None


@dataclass(slots=True)
class Producer:
    world: World
    name: str
    unanswered: list[Submission] = field(default_factory=list)
    answered: list[Submission] = field(default_factory=list)

    def act(self, draw: Draws) -> None:
        live = sum(not job.deleted for job in self.world.jobs.values())
        if self.unanswered:
            self.submit(self.unanswered.pop(0), draw)
        elif self.answered and self.world.scene.jobs_max > 1 and draw.chance(30):
            self.submit(self._another(draw.pick(self.answered), draw), draw)
        elif live < self.world.scene.jobs_max:
            scene = self.world.scene
            self.world.submitted += 1
            items = scene.items_max if scene.jobs_max == 1 else draw.below(scene.items_max + 1)
            simple = scene.jobs_max == 1
            submission = Submission(
                key=f"submission {self.world.submitted}",
                stages=1 + draw.below(scene.stages_max),
                items=items,
                start=simple or not draw.chance(20),
                seal=simple or not draw.chance(20),
            )
            self.submit(submission, draw)

    def _another(self, asked: Submission, draw: Draws) -> Submission:
        """Return the same submission again, or another one with the same key."""
        fewer, more = max(0, asked.items - 1), asked.items + 1
        return draw.pick(
            [
                asked,
                replace(asked, config=1),
                replace(asked, items=fewer),
                replace(asked, items=more),
            ]
        )

    def submit(self, asked: Submission, draw: Draws) -> None:
        world = self.world
        named = [{"name": f"s{n}", "pipeline": PIPELINES[n]} for n in range(asked.stages)]
        how = ("" if asked.start else ", on hold") + ("" if asked.seal else ", open")
        how += "" if asked.config is None else ", with a config"
        world.say(f"{self.name}: {asked.key}: {asked.items} items, {asked.stages} stages{how}")
        before = self._row(asked)
        trouble = trouble_of(world, draw, CHUNK)
        if before and world.jobs[before.pk].reopening is not None:
            trouble = CALM  # it continues a retry, whose halves can't be distinguished here
        answer = world.call(
            "submit",
            "simulated",
            (f"k{n}" for n in range(asked.items)),
            stages=named,
            project="simulated",
            policy=POLICY,
            start=asked.start,
            seal=asked.seal,
            config=asked.config,
            idempotency_key=asked.key,
            trouble=trouble,
        )
        if answer.away or not answer.answered:
            self.unanswered.append(asked)
        if answer.away:
            return
        row = self._row(asked)
        world.require(row is not None or not answer.answered, "an answered submission was lost")
        expected = asked.refusal(world.jobs[before.pk]) if before else None
        if answer.answered:
            self._judge(asked, answer, expected)
        if row is not None:
            self._take(row, asked, is_new=before is None, answer=answer)

    def _judge(
        self, asked: Submission, answer: CallResult, expected: type[JoblotError] | None
    ) -> None:
        found = type(answer.refusal) if answer.refusal else None
        found_as = answer.refusal or "an answer"
        self.world.require(found is expected, f"a submission: expected {expected}, got {found_as}")
        if expected is not None:
            self.world.story[-1] += f": {expected.code}"
        elif asked not in self.answered:
            self.answered.append(asked)

    def _row(self, asked: Submission) -> Any:
        rows = JobRow.ledger.using(alias())
        return rows.filter(project="simulated", idempotency_key=asked.key).first()

    def _take(self, row: Any, asked: Submission, *, is_new: bool, answer: CallResult) -> None:
        """Apply to the model what was done: all if answered; otherwise a part, in whole chunks.

        Of a refused submission, at most its start.
        """
        world, job, answered = self.world, self.world.jobs.get(row.pk), answer.answered
        if job is None:
            world.require(is_new, "a job came from nowhere")
            hooked = frozenset(n for n in world.adopter.hooked if n < asked.stages)
            job = world.jobs[row.pk] = model.Job(asked.stages, hooked=hooked, asked=asked.content)
            job.status = JobStatus.PENDING if asked.start else JobStatus.CREATED
            job.events.append("started" if asked.start else "created")
        elif (
            asked.start
            and asked.content == job.asked
            and job.status is JobStatus.CREATED
            and (answered or row.status != job.status)
        ):
            job.start()
        if answer.refusal is None and not job.sealed and job.status in FILLABLE:
            new = max(0, asked.items - job.total) if answered else row.total - job.total
            world.require(0 <= new <= max(0, asked.items - job.total), f"{new} items were added")
            job.add(new)
            sealed = asked.seal if answered else row.sealed
            world.require(not sealed or job.total >= asked.items, "sealed before it was filled")
            job.sealed = sealed
            if answered:
                job.reconcile()
        world.notice_reconciled(row.pk)
        world.name(row.pk)
        world.compare(row.pk)
