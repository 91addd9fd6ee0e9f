"""Plays a history in a world: its steps, then without faults until every job has ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from django.conf import settings
from django.test import override_settings

from joblot import config
from joblot.config import limits
from joblot.ledger.claim import queue
from joblot.ledger.db.transactions import alias
from joblot.ledger.rows import workers
from joblot.ledger.rows.claimable import note_claimable
from joblot.models import Job as JobRow
from joblot.models import PipelineLimit
from joblot.states import FILLABLE, TERMINAL, JobStatus
from joblot.testing.simulator import model
from joblot.testing.simulator.actors import JUMP, Operator, Sweeper, Weather
from joblot.testing.simulator.audits import audit_all, events_are_delivered, no_file_is_left
from joblot.testing.simulator.deliverer import Deliverer
from joblot.testing.simulator.history import Draws, Step
from joblot.testing.simulator.hooks import PIPELINES
from joblot.testing.simulator.model_receipts import BUSY
from joblot.testing.simulator.pipeline_operator import PipelineOperator
from joblot.testing.simulator.post import Post, given_of
from joblot.testing.simulator.producer import Producer
from joblot.testing.simulator.scene import Scene
from joblot.testing.simulator.trouble import CALM
from joblot.testing.simulator.workers import Worker
from joblot.testing.simulator.world import Violation, World

WORKERS, PRODUCERS, OPERATORS, SWEEPERS = 4, 2, 2, 2
REST_ROUNDS_MAX = 60

Actor = Worker | Producer | Operator | Sweeper | Weather | Deliverer | PipelineOperator


@dataclass(slots=True)
class Played:
    """A history as far as it was played; `error` is the failure found."""

    world: World
    steps: list[Step]
    error: Exception | None = None
    came_to_rest: bool = False  # all steps were played; an error came after them


def actor_weights(scene: Scene) -> list[int]:
    """The weight of each actor, in the order of `_actors`."""
    workers, producers, operators, sweepers, weather = scene.weights
    return [
        *[workers] * WORKERS,
        *[producers * 2] * PRODUCERS,
        *[operators * 2] * OPERATORS,
        *[sweepers * 2] * SWEEPERS,
        weather * 4,
        sweepers * 2,
        operators,
    ]


def _actors(world: World) -> list[Actor]:
    return [
        *(Worker(world, f"worker-{n}") for n in range(1, WORKERS + 1)),
        *(Producer(world, f"producer-{n}") for n in range(1, PRODUCERS + 1)),
        *(Operator(world, f"operator-{n}") for n in range(1, OPERATORS + 1)),
        *(Sweeper(world, f"sweeper-{n}") for n in range(1, SWEEPERS + 1)),
        Weather(world),
        Deliverer(world),
        PipelineOperator(world),
    ]


def play(
    scene: Scene, history: Iterable[Step], steps_max: int | None = None, *, rests: bool = True
) -> Played:
    """Play at most `steps_max` steps, or without it until every job ends; then come to rest.

    An error is returned in the result, not raised. Without `rests`, only the steps are played.
    """
    with _stage(scene) as world:
        played = Played(world, [])
        actors = _actors(world)
        try:
            for step in islice(history, steps_max):
                played.steps.append(step)
                actors[step.actor].act(Draws(step))
                if len(played.steps) % scene.audit_steps == 0:
                    audit_all(world)
                if steps_max is None and world.jobs and all_ended(world):
                    break
            audit_all(world)
            if rests:
                played.came_to_rest = True
                _come_to_rest(world, actors)
        except Exception as error:  # noqa: BLE001 (any error is a finding)
            played.error = error
    return played


def all_ended(world: World) -> bool:
    return all(job.deleted or job.status in TERMINAL for job in world.jobs.values())


@contextmanager
def _stage(scene: Scene) -> Iterator[World]:
    """Yield an empty world, and remove everything afterwards."""
    config.configure(scene.limits)
    logger = logging.getLogger("joblot.ledger")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # hooks fail on purpose
    queue.forget()
    workers.forget()
    note_claimable()
    world = World(scene)
    memory = {"BACKEND": "joblot.testing.simulator.hooks.SimulatedStorage"}
    try:
        with world.adopter.present(), override_settings(STORAGES={"default": memory}):
            yield world
            _clear(world)
    finally:
        world.rival.leave()
        logger.setLevel(level)
        config.configure(getattr(settings, "JOBLOT", {}))


def _clear(world: World) -> None:
    """Remove every job in any state, with the ledger's own verbs, not those under test.

    Some may have ended while the clock was ahead, and are pruned only once it has passed that.
    """
    calm = World(Scene())
    calm.now = world.now + JUMP + 1
    for job in JobRow.ledger.filter(deleted_at__isnull=True).values_list("pk", flat=True):
        calm.say("clear")
        calm.call("delete", job)
    calm.now += 1
    calm.call("prune")
    calm.now += int(config.limits().output_unsettled_seconds) + 1
    calm.call("sweep")
    calm.now += _until_a_removal_is_due()
    calm.call("remove_files")
    PipelineLimit.ledger.using(alias()).filter(pipeline__in=PIPELINES).delete()


def _come_to_rest(world: World, actors: list[Actor]) -> None:
    """Stop all faults, complete everything that was begun, and check it once more.

    Raises Violation if a job does not end: nothing may get stuck.
    """
    world.say("all trouble ends")
    world.away_calls = 0
    world.scene = replace(world.scene, trouble_percent=0, duplicates_percent=0)
    PipelineOperator(world).lift_all()
    workers = [one for one in actors if isinstance(one, Worker)]
    sweeper = Sweeper(world, "the last sweeper")
    for producer in actors:
        while isinstance(producer, Producer) and producer.unanswered:
            producer.submit(producer.unanswered.pop(0), Draws(Step(0, ())))
    for _ in range(REST_ROUNDS_MAX):
        for worker in workers:
            _post_all(worker)
        _set_going(world)
        _work_all(world, workers[0])
        world.now += model.LEASE + model.GRACE
        sweeper.sweep(CALM)
        if all_ended(world):
            break
    else:
        stuck = [world.name(i) for i, job in world.jobs.items() if job.status not in TERMINAL]
        raise Violation(
            f"{', '.join(stuck)} did not end in {REST_ROUNDS_MAX} rounds without trouble"
        )
    audit_all(world)
    world.now += round(limits().handler_seconds_max + limits().outbox_backoff_seconds_max)
    deliverer = Deliverer(world, "the last deliverer")
    deliverer.deliver()
    events_are_delivered(world)
    _collect(world, sweeper, deliverer)


def _until_a_removal_is_due() -> int:
    """The longest delay of a file's removal, in whole seconds."""
    known = config.limits()
    return int(known.output_removal_seconds_max + known.output_removal_retry_seconds) + 1


def _collect(world: World, sweeper: Sweeper, deliverer: Deliverer) -> None:
    """Once no more reports can arrive, exactly the referenced files must remain.

    Raises Violation.
    """
    world.now += 2 * int(config.limits().output_unsettled_seconds)
    for _ in range(2):  # first for the references, then for the files
        sweeper.sweep(CALM)
        world.now += _until_a_removal_is_due()
        deliverer.remove_files()
    no_file_is_left(world)


def _post_all(worker: Worker) -> None:
    """Post what waits in the outboxes; hooks no longer defer."""
    posts, worker.outbox = worker.outbox, []
    worker.leases.clear()
    for post in posts:
        given = tuple(given_of(one[0], "a") if one[2] == BUSY else one for one in post.given)
        worker.send(Post(post.job_id, post.token, given))


def _set_going(world: World) -> None:
    operator = Operator(world, "the last operator")
    calm = Draws(Step(0, ()))
    for job_id, job in list(world.jobs.items()):
        if job.deleted:
            continue
        if job.status is JobStatus.CREATED:
            operator.start(job_id, job, calm)
        if job.status is JobStatus.PAUSED:
            operator.resume(job_id, job, calm)
        if not job.sealed and job.status in FILLABLE:
            operator.seal(job_id, job, calm)


def _work_all(world: World, worker: Worker) -> None:
    """Complete everything that is ready, with success."""
    limit = world.scene.claim_items_max
    while True:
        before = world.figures["leases"]
        worker.claim(Draws(Step(0, (limit - 1,))), CALM)
        if world.figures["leases"] == before:
            return
        job_id, token = worker.leases.pop()
        numbers = sorted(world.jobs[job_id].leases[token].held)
        worker.send(Post(job_id, token, tuple(given_of(n, "a") for n in numbers)))
