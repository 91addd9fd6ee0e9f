"""What is measured of whom: everything, what the musts and the page need, or only the musts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.arena.drains import Scene
from bench.arena.rates import Cell
from bench.strategies import LIMIT, STRATEGIES

KEYS = tuple(one.key for one in STRATEGIES)
LEDGER = ("J", "Jt")
OF_REDIS = tuple(one.key for one in STRATEGIES if one.needs_redis)
CENTRE = Cell()
DISK = replace(CENTRE, delay=0)
SHARES = (0.0, 0.01, 0.1, 1.0)

Entry = tuple[str, Cell]


@dataclass(frozen=True, slots=True)
class Plan:
    """`centre` is measured in several rounds, `rest` in fewer, the first of it first."""

    centre: Sequence[Entry]
    rest: Sequence[Entry]
    keys: Sequence[str]  # for duplicates, deaths and other writers
    shares: Sequence[float]
    lags: int  # runs of the scene that shows them
    scene: Scene = field(default_factory=Scene)


def full() -> Plan:
    centre, rest = [], []
    for here in (CENTRE, DISK):
        centre += [*_all_of(here), ("J", replace(here, jobs=32))]
        rest += [(key, replace(here, size=n)) for n in (64, 256) for key in (LIMIT.key, *LEDGER)]
    for here in (CENTRE, DISK):
        varied = (
            *(replace(here, handlers=some) for some in (1, 8)),
            *(replace(here, size=size) for size in (1, 64)),
            replace(here, jobs=32),
        )
        rest += [entry for entry in _all_of(*varied) if entry not in (*centre, *rest)]
        rest += [(key, replace(here, sync="everysec")) for key in OF_REDIS]
    return Plan(centre, rest, KEYS, SHARES, lags=3)


def brief() -> Plan:
    """All of them at 2 ms, the counters at both latencies, the ledger at each size."""
    compared = (LIMIT.key, "A1", "A2", "A2s", *LEDGER)
    centre = [*_all_of(CENTRE), ("J", replace(CENTRE, jobs=32))]
    centre += [(key, DISK) for key in compared] + [("J", replace(DISK, jobs=32))]
    rest = [(key, replace(DISK, size=n)) for n in (64, 256) for key in (LIMIT.key, "J")]
    rest += [(key, replace(CENTRE, handlers=some)) for some in (1, 8) for key in compared]
    rest += [(key, replace(CENTRE, size=size)) for size in (1, 64) for key in compared]
    rest += [(key, replace(CENTRE, jobs=32)) for key in compared if key != "J"]
    return Plan(centre, rest, KEYS, SHARES, lags=3, scene=Scene(batches=100))


def quick() -> Plan:
    """What the musts need, and A0, which shows what all of it is for."""
    centre = [(key, CENTRE) for key in (LIMIT.key, "A0", "A1", "A2", *LEDGER)]
    centre += [("J", replace(CENTRE, jobs=32))]
    rest = [(key, replace(DISK, size=n)) for key in (LIMIT.key, "J") for n in (16, 64)]
    keys = ("A0", "A2", *LEDGER)
    return Plan(centre, rest, keys, (0.1,), lags=1, scene=Scene(batches=100))


def _all_of(*cells: Cell) -> list[Entry]:
    return [(key, cell) for key in (LIMIT.key, *KEYS) for cell in cells]
