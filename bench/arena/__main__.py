"""All strategies in the same circumstances: rates and costs, duplicates, deaths, other writers.

    python -m bench.arena [--quick] [--rounds 5] [--seconds 2] [--only rates --add]

One factor is varied at a time, from 32 handlers on one job with 16 results a batch, at both commit
latencies. In each round all candidates take turns in a new order; ratios are within a round. A
first, short round of the centre only warms up. `--add` keeps what an earlier run has measured of
the parts that are not measured now.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from bench.arena.drains import Drained, Scene, drain
from bench.arena.fsync import fsync
from bench.arena.judge import figures
from bench.arena.kills import all_kills
from bench.arena.others import probe
from bench.arena.plan import Entry, Plan, brief, full, quick
from bench.arena.rates import Cell, Rate, measure
from bench.arena.servers import RedisServer, servers
from bench.figures import RESULTS, write
from joblot.testing.postgres import PostgresServer

PLANS = {"full": full, "brief": brief, "quick": quick}
PARTS = ("kills", "other writers", "duplicates", "lags", "rates")
LAGS = Scene(jobs=60, batches=5, handlers=32)
Json = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, default="full")
    parser.add_argument("--quick", action="store_const", const="quick", dest="plan")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest", type=int, default=2, help="rounds outside of the centre")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="measure no more after")
    parser.add_argument("--cold", action="store_true", help="without the round that warms up")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--add", action="store_true", help="keep other parts as they are")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the handlers and servers, too
    found = json.loads((RESULTS / "arena.json").read_text())["measured"] if asked.add else {}
    found["pg_test_fsync"] = found.get("pg_test_fsync") or fsync()
    until = time.monotonic() + 60 * asked.minutes
    plan = PLANS[asked.plan]()
    with servers() as (postgres, redis):
        for part in asked.only:
            if part == "rates":
                found[part] = _rates(plan, asked, Rates(asked.seconds, postgres, redis), until)
            else:
                found[part] = _part(part, plan)
            write("arena", figures(found), found)
    return 0


def _part(part: str, plan: Plan) -> Any:
    if part == "kills":
        return [one.row() for key in plan.keys for one in _said(all_kills(key))]
    if part == "other writers":
        return [one.row() for one in _said(probe(key) for key in plan.keys)]
    if part == "lags":  # at the disk's latency, many small jobs, each of which ends
        return {key: [_drained(key, LAGS) for _ in range(plan.lags)] for key in plan.keys}
    return {
        f"{share:g}": {
            key: _drained(key, replace(plan.scene, duplicates=share)) for key in plan.keys
        }
        for share in plan.shares
    }


def _drained(key: str, scene: Scene) -> Json:
    found: list[Drained] = _said([drain(key, scene)])
    return found[0].row()


def _rates(plan: Plan, asked: argparse.Namespace, rates: Rates, until: float) -> Json:
    if not asked.cold:
        rates.shorter(4).round(plan.centre)
    for _ in range(asked.rounds):
        rates.round(plan.centre)
    for _ in range(asked.rest):
        rates.round(plan.rest, until)
    return {
        str(cell): {key: [one.row() for one in found] for key, found in by_key.items()}
        for cell, by_key in rates.found.items()
    }


class Rates:
    """The rates found, by circumstances and strategy, one per round."""

    def __init__(self, seconds: float, postgres: PostgresServer, redis: RedisServer) -> None:
        self._seconds = seconds
        self._servers = (postgres, redis)
        self.found: dict[Cell, dict[str, list[Rate]]] = {}

    def shorter(self, times: float) -> Rates:
        """To warm up: slices that are so many times shorter, and found elsewhere."""
        return Rates(self._seconds / times, *self._servers)

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


def _said(results: Iterable[Any]) -> list[Any]:
    def said() -> Iterator[Any]:
        for one in results:
            text = str(one)
            print(text if len(text) < 250 else f"{text[:250]}…", flush=True)
            yield one

    return list(said())


if __name__ == "__main__":
    sys.exit(main())
