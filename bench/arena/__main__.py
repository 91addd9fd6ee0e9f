"""All strategies in the same circumstances: rates and costs, duplicates, deaths, other writers.

    python -m bench.arena [--quick] [--rounds 5] [--seconds 2]

One factor is varied at a time, from 32 handlers on one job with 16 results a batch, at both commit
latencies. In each round all candidates take turns in a new order; ratios are within a round. The
first, short round of the centre only warms up.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.arena.drains import Drained, Scene, drain
from bench.arena.fsync import fsync
from bench.arena.judge import figures
from bench.arena.kills import all_kills
from bench.arena.others import probe
from bench.arena.rates import Cell, Rate, measure
from bench.arena.servers import RedisServer, servers
from bench.figures import write
from bench.strategies import LIMIT, STRATEGIES
from joblot.testing.postgres import PostgresServer

KEYS = tuple(one.key for one in STRATEGIES)
LEDGER = ("J", "Jg")
OF_REDIS = tuple(one.key for one in STRATEGIES if one.needs_redis)
CENTRE = Cell()
DELAYS = (2_000, 0)
SHARES = (0.0, 0.01, 0.1, 1.0)
LAGS = Scene(jobs=60, batches=5, handlers=32)

Entry = tuple[str, Cell]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: `centre` in several rounds, `rest` in fewer, the first of it first."""

    centre: Sequence[Entry]
    rest: Sequence[Entry]
    keys: Sequence[str]  # for duplicates, deaths and other writers
    shares: Sequence[float]
    lags: int  # runs of the scene that shows them
    scene: Scene = field(default_factory=Scene)


def full() -> Plan:
    def all_of(*cells: Cell) -> list[Entry]:
        return [(key, cell) for key in (LIMIT.key, *KEYS) for cell in cells]

    centre, rest = [], []
    for delay in DELAYS:
        here = replace(CENTRE, delay=delay)
        centre += [*all_of(here), ("J", replace(here, jobs=32))]
        rest += [(key, replace(here, size=n)) for n in (64, 256) for key in (LIMIT.key, *LEDGER)]
    for delay in DELAYS:
        here = replace(CENTRE, delay=delay)
        varied = (
            *(replace(here, handlers=some) for some in (1, 8)),
            *(replace(here, size=size) for size in (1, 64)),
            replace(here, jobs=32),
        )
        rest += [entry for entry in all_of(*varied) if entry not in (*centre, *rest)]
        rest += [(key, replace(here, sync="everysec")) for key in OF_REDIS]
    return Plan(centre, rest, KEYS, SHARES, lags=3)


def quick() -> Plan:
    """What the musts need, and A0, which shows what all of it is for."""
    centre = [(key, CENTRE) for key in (LIMIT.key, "A0", "A1", "A2", *LEDGER)]
    centre += [("J", replace(CENTRE, jobs=32))]
    disk = replace(CENTRE, delay=0)
    rest = [(key, replace(disk, size=n)) for key in (LIMIT.key, "J") for n in (16, 64)]
    keys = ("A0", "A2", *LEDGER)
    return Plan(centre, rest, keys, (0.1,), lags=1, scene=Scene(batches=200))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="what the musts need, and little more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=int, default=2, help="rounds outside of the centre")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="measure no more after")
    asked = parser.parse_args()
    plan = quick() if asked.quick else full()
    began = time.monotonic()
    found: dict[str, Any] = {"pg_test_fsync": fsync()}
    with servers() as (postgres, redis):
        kills = [kill for key in plan.keys for kill in _said(all_kills(key))]
        others = _said(probe(key) for key in plan.keys)
        drained = _drains(plan)
        lags = _lags(plan)
        Rates(asked.seconds / 4, postgres, redis).round(plan.centre)  # only warms up
        rates = Rates(asked.seconds, postgres, redis)
        for _ in range(asked.rounds):
            rates.round(plan.centre)
        for _ in range(asked.rest):
            rates.round(plan.rest, until=began + 60 * asked.minutes)
        measured = rates.found
    found["rates"] = {
        str(cell): {key: [one.row() for one in rates] for key, rates in by_key.items()}
        for cell, by_key in measured.items()
    }
    found["duplicates"] = {
        f"{share:g}": {one.key: one.row() for one in of_share}
        for share, of_share in drained.items()
    }
    found["lags"] = {key: [one.row() for one in runs] for key, runs in lags.items()}
    found["kills"] = [one.row() for one in kills]
    found["other writers"] = [one.row() for one in others]
    write("arena", figures(measured, drained, lags, kills), found)
    return 0


class Rates:
    """The rates found, by circumstances and strategy, one per round."""

    def __init__(self, seconds: float, postgres: PostgresServer, redis: RedisServer) -> None:
        self._seconds = seconds
        self._servers = (postgres, redis)
        self.found: dict[Cell, dict[str, list[Rate]]] = {}

    def round(self, entries: Sequence[Entry], until: float = math.inf) -> None:
        """All entries, in a new order; with a time limit in theirs, as far as it allows."""
        ordered = entries if until < math.inf else random.sample(entries, len(entries))
        for key, cell in ordered:
            if time.monotonic() > until:
                print("the time is used up; the rest is not measured")
                return
            before = self.found.setdefault(cell, {}).setdefault(key, [])
            last = before[-1].batches_per_second if before else None
            rate = measure(key, cell, self._seconds, *self._servers, last=last)
            before.append(rate)
            print(
                f"{key} at {cell}: {rate.batches_per_second:.0f} batches/s, CPU "
                f"{rate.client_ms:.2f} + {rate.server_ms:.2f} ms, error {rate.error}",
                flush=True,
            )


def _drains(plan: Plan) -> dict[float, list[Drained]]:
    return {
        share: _said(drain(key, replace(plan.scene, duplicates=share)) for key in plan.keys)
        for share in plan.shares
    }


def _lags(plan: Plan) -> dict[str, list[Drained]]:
    """At the disk's latency, many small jobs, each of which ends."""
    return {key: _said(drain(key, LAGS) for _ in range(plan.lags)) for key in plan.keys}


def _said(results: Iterable[Any]) -> list[Any]:
    def said() -> Iterator[Any]:
        for one in results:
            text = str(one)
            print(text if len(text) < 250 else f"{text[:250]}…", flush=True)
            yield one

    return list(said())


if __name__ == "__main__":
    sys.exit(main())
