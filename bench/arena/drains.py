"""Jobs that are handled to their end: what is counted, sampled meanwhile, and announced, and when.

With duplicates: a share of the batches is delivered twice, to two handlers at about the same time.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.arena.handlers import Crew, Task
from bench.arena.rates import settled_count
from bench.arena.servers import analyze, empty, set_commit_delay
from bench.arena.truth import Truth
from bench.strategies import BY_KEY
from bench.strategies.shape import Batch, Strategy

SAMPLE_SECONDS = 0.1
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Scene:
    """`jobs` jobs of `batches` batches each; `duplicates` is the share that comes twice."""

    jobs: int = 1
    batches: int = 400
    size: int = 16
    handlers: int = 8
    delay: int = 0
    duplicates: float = 0.0


@dataclass(frozen=True, slots=True)
class Drained:
    """`error`: the count at the end minus the truth. `below` and `above`: by how much a reader was
    told too little or too much, at most, of all `samples`. `finals`: announced ends of all jobs.
    """

    key: str
    error: int
    below: int
    above: int
    samples: int
    finished: int
    finals: int
    jobs: int
    lags_ms: list[float]
    p50_ms: float

    def row(self) -> dict[str, Any]:
        return asdict(self)


def drain(key: str, scene: Scene) -> Drained:
    strategy = BY_KEY[key]()
    set_commit_delay(0)
    empty()
    batches = [
        Batch(job, number * scene.size, scene.size)
        for job in range(scene.jobs)
        for number in range(scene.batches)
    ]
    strategy.setup([scene.batches * scene.size] * scene.jobs, batches)
    analyze()
    set_commit_delay(scene.delay)
    with tempfile.TemporaryDirectory() as folder:
        truth = Truth(Path(folder) / "truth")
        task = Task(strategy, PATIENCE_SECONDS, warm=0, truth=truth)
        crew = Crew(task, dealt(batches, scene))
        crew.warm_up()
        crew.begin()
        samples = sampled(crew, strategy, range(scene.jobs), truth)
        acts = crew.end()
        crew.release()
        truth.read()
        truth.close()
    assert truth.done == len(batches) * scene.size
    jobs = range(scene.jobs)
    found = settled_count(strategy, jobs, truth.done)
    lags = [lag for job in jobs if (lag := strategy.lag(job)) is not None]
    return Drained(
        key=key,
        error=found - truth.done,
        below=max((below for below, _ in samples), default=0),
        above=max((above for _, above in samples), default=0),
        samples=len(samples),
        finished=sum(map(strategy.finished, jobs)),
        finals=sum(map(strategy.finals, jobs)),
        jobs=scene.jobs,
        lags_ms=sorted(round(1e3 * lag, 3) for lag in lags),
        p50_ms=round(1e3 * acts.percentile(0.5), 3),
    )


def dealt(batches: Sequence[Batch], scene: Scene) -> list[list[Batch]]:
    """In order, one to each handler in turn; a duplicate goes to the next one a moment later."""
    chance = random.Random(7)
    stream: list[Batch] = []
    for batch in batches:
        stream.append(batch)
        if chance.random() < scene.duplicates:
            stream.append(batch)
    return [stream[handler :: scene.handlers] for handler in range(scene.handlers)]


def sampled(
    crew: Crew, strategy: Strategy, jobs: Sequence[int], truth: Truth
) -> list[tuple[int, int]]:
    """Ten times a second: what was done before the read must be told, and only what was begun."""
    found = []
    while crew.working:
        truth.read()
        done = truth.done
        told = sum(map(strategy.counts, jobs))
        truth.read()
        found.append((max(0, done - told), max(0, told - truth.begun)))
        time.sleep(SAMPLE_SECONDS)
    return found
