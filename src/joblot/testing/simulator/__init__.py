"""A simulator: many workers, producers, operators and sweepers, with every failure mode.

    from joblot.testing.simulator import simulate

    print(simulate(seed=7))

Every step is drawn from the seed and applied to the real ledger and to a model of it, which are
then compared. At the end the faults stop, and every job must end. A failure raises
`SimulationFailed` with the smallest failing history found, which can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from joblot.testing import temporary
from joblot.testing.simulator.report import Report, SimulationFailed

__all__ = ["Report", "SimulationFailed", "simulate"]

STEPS = 300


def simulate(
    seed: int,
    steps: int = STEPS,
    database: str | None = None,
    *,
    items: int | None = None,
    replay: str | None = None,
    verbs: Mapping[str, Callable[..., Any]] | None = None,
    shrink_plays_max: int = 400,
) -> Report:
    """Play `steps` steps drawn from the seed, then let every job end; check everything.

    `database` is "sqlite" or "postgres" (both temporary), the path of an SQLite file, or a URL;
    by default Django's configured database. It must hold no jobs: the clock is set and everything
    is swept. With `items`, one large job of that many items is worked to its end instead of many
    small ones. `replay` is a history that a failure has printed; `shrink_plays_max` is how many
    histories are played to find the smallest. `verbs` replace joblot's, by name ("report",
    "claim", …), for instance with your own wrappers.

    Raises SimulationFailed; InvalidInput for a database with jobs in it; Unavailable if there is
    no PostgreSQL.
    """
    with temporary.database(database):
        run = import_module("joblot.testing.simulator.run").run
        report: Report = run(
            seed,
            steps,
            items=items,
            replay=replay,
            verbs=verbs or {},
            shrink_plays_max=shrink_plays_max,
        )
        return report
