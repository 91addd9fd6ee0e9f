"""The function that tests call."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from joblot.testing.interleave.cast import Cast
from joblot.testing.interleave.explorer import Check, Explorer, Setup
from joblot.testing.interleave.hold import Hold
from joblot.testing.interleave.report import Report, failure
from joblot.testing.interleave.schedule import Schedule, follow
from joblot.testing.interleave.search import Frontier, by_chance, is_schedule, shrink, systematic

SCHEDULES_MAX = 2000
SAMPLES_MAX = 200


class Bounds(NamedTuple):
    """All schedules with up to `preemptions`, at most `schedules`; then `samples` random ones."""

    preemptions: int | None
    schedules: int
    samples: int


def explore(
    operations: Mapping[str, Callable[[], object]],
    *,
    setup: Setup,
    check: Check,
    using: str = "default",
    preemptions: int | None = None,
    schedules_max: int = SCHEDULES_MAX,
    samples: int = SAMPLES_MAX,
    seed: int | None = None,
    kills: int = 0,
    hold: Hold | None = None,
    allowed: tuple[type[BaseException], ...] = (),
    deadlocks_allowed: bool = False,
    reduced: bool = False,
    alike: bool = False,
    cast: Cast | None = None,
    replay: str | None = None,
) -> Report:
    """Run the operations in every order of their statements, with a check after each run.

    `operations`: one to three callables by name; they use Django's connection `using`.
    `setup`: called before each schedule, in the caller's thread; sets up and commits the same
    scene each time. `check`: called after each schedule with the outcomes by name (`value`,
    `error`, `killed`); it raises or returns False if something is wrong.

    Schedules are tried in order of their switches, fewest first, up to `schedules_max` schedules
    and `preemptions` switches. If some are left, `samples` random ones follow, drawn from `seed`.
    Up to `kills` operations die per schedule, after any of their statements. A `hold` makes one
    statement wait while it runs. `replay` runs one schedule, as printed by a failure.

    `reduced` skips orders that can't end differently (see docs/how-to/interleave.md). `alike`: all
    operations do the same and the check treats them the same. A `cast` keeps threads and
    connections for the next exploration. Errors must be `allowed`, that of a deadlock's victim by
    `deadlocks_allowed`. Raises ScheduleFailed with the smallest failing schedule as a table,
    ValueError for a database that it can't explore or inside a transaction.
    """
    report = Report(seed=random.randrange(2**32) if seed is None else seed)
    begun, bounds = time.monotonic(), Bounds(preemptions, schedules_max, samples)
    with Explorer(
        operations,
        setup,
        check,
        using=using,
        hold=hold,
        kills=kills,
        allowed=allowed,
        deadlocks_allowed=deadlocks_allowed,
        reduced=reduced,
        cast=cast,
    ) as explorer:
        if replay is None:
            failed = search(explorer, report, Frontier(reduced=reduced, alike=alike), bounds)
        else:
            failed = replay_one(explorer, report, replay)
    report.seconds = time.monotonic() - begun
    if failed is not None:
        raise failure(report, failed, explorer.names)
    return report


def search(
    explorer: Explorer, report: Report, frontier: Frontier, bounds: Bounds
) -> Schedule | None:
    """The smallest failing schedule, or None."""
    tried = systematic(explorer.run, frontier, bounds.preemptions)
    failed = collect(report, islice(tried, bounds.schedules))
    if failed:
        return min(failed, key=lambda schedule: schedule.size)
    level = frontier.level
    report.exhaustive = level is None and not report.strayed
    report.switches = None if not level else level - 1
    if level is None:
        return None
    drawn = islice(by_chance(explorer.run, report.seed or 0), bounds.samples)
    for schedule in drawn:
        report.sampled += 1
        report.add(schedule)
        if schedule.problem:
            return shrink(schedule, explorer.run)
    return None


def collect(report: Report, schedules: Iterable[Schedule]) -> list[Schedule]:
    failed = []
    for schedule in schedules:
        report.add(schedule)
        if schedule.problem:
            failed.append(schedule)
    return failed


def replay_one(explorer: Explorer, report: Report, replay: str) -> Schedule | None:
    if not is_schedule(replay):
        raise ValueError(f"replay: expected letters of operations (ABC, abc, !), got {replay!r}.")
    schedule = explorer.run(follow(replay))
    report.add(schedule)
    if schedule.strayed or not schedule.taken.startswith(replay):
        raise ValueError(
            f"replay: {replay!r} does not fit; these operations can move as {schedule.taken!r}."
        )
    return schedule if schedule.problem else None
