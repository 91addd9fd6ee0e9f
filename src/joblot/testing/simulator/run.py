"""One simulation: play a history; if it fails, shrink it and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import connection
from joblot.models import Job
from joblot.testing.simulator.history import Step, drawn, parsed, written
from joblot.testing.simulator.play import Played, actor_weights, play
from joblot.testing.simulator.report import Report, SimulationFailed
from joblot.testing.simulator.scene import Scene
from joblot.testing.simulator.shrink import Budget, shrunk


def run(
    seed: int,
    steps: int,
    *,
    items: int | None,
    replay: str | None,
    verbs: Mapping[str, Callable[..., Any]],
    shrink_plays_max: int,
) -> Report:
    """See `simulate`; runs on Django's configured database."""
    if Job.ledger.exists():
        raise InvalidInput(
            "the simulator sets the clock and sweeps everything, so it wants a database without "
            "jobs; give it one of its own: database='sqlite' or 'postgres'"
        )
    scene = Scene.large(items) if items else Scene.small(seed, verbs)
    began = time.monotonic()
    if replay is not None:
        history = parsed(replay)
        played = play(scene, history, len(history))
    else:
        played = play(scene, drawn(seed, actor_weights(scene)), None if items else steps)
    if played.error is not None:
        raise _failed(seed, scene, played, 0 if replay else shrink_plays_max)
    return _report(seed, played, time.monotonic() - began)


def _report(seed: int, played: Played, seconds: float) -> Report:
    world = played.world
    return Report(
        seed=seed,
        database=connection().display_name,
        steps=len(played.steps),
        seconds=seconds,
        jobs=len(world.jobs),
        items=sum(job.total for job in world.jobs.values()),
        figures=dict(world.figures),
        receipts={str(receipt): n for receipt, n in world.receipts.items()},
    )


def _failed(seed: int, scene: Scene, played: Played, plays_max: int) -> SimulationFailed:
    smallest = played

    def fails(history: list[Step]) -> bool:
        nonlocal smallest
        again = play(scene, history, len(history), rests=played.came_to_rest)
        if again.error is None:
            return False
        smallest = again
        return True

    history = shrunk(played.steps, fails, Budget(plays_max)) if plays_max else played.steps
    if plays_max and not fails(history):
        smallest = played
    error = smallest.error
    what = str(error) or f"{type(error).__name__} at {_place(error)}"
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    failed = SimulationFailed(
        seed,
        f"{kind}{what}",
        written(smallest.steps),
        smallest.world.story,
        (len(played.steps), len(smallest.steps)),
    )
    failed.__cause__ = error
    return failed


def _place(error: BaseException | None) -> str:
    trace = error.__traceback__ if error else None
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace else "?"
