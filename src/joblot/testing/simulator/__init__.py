"""A simulator: many workers, producers, operators and sweepers, and all that may befall them.

    from joblot.testing.simulator import simulate

    print(simulate(seed=7))

Every step is drawn from the seed and goes to the real ledger and to a model of it, and they are
compared; at the end all trouble ends, and every job must come to its end. A failure is a
`SimulationFailed` with the smallest history found that fails as well, which can be replayed.
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
    """Play `steps` steps that the seed decides, and the way to rest after them; all is checked.

    `database` is "sqlite" or "postgres" (both temporary), the path of an SQLite file, or a URL;
    without it, the one that Django has. It must hold no jobs: the clock is set and everything is
    swept. With `items`, one large job of so many is worked to its end instead of many small ones.
    `replay` is a history that a failure has printed; `shrink_plays_max` how many are
    played to find the smallest. `verbs` are tried in place of joblot's, by
    name ("report", "claim", …), for instance your own that wrap them.

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
