"""Do many jobs slow down a claim, and do two projects each get half? Claims of 16 items.

    python bench/fair.py [--jobs 1000] [--rounds 5] [--seconds 3] [--handlers 8]

Within each round, handlers claim from one large job, then from many jobs in ten projects, both in
the same tables. The shares are those of a project with 50 jobs and of one with a single job, served
by all handlers at once, each with its own cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator

from figures import Figure, figure, write
from storm import Act, Storm, storm

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
PROJECTS = 10
CLAIMS_PER_JOB = 6  # the first one happens beforehand, so that every job has started
CLAIMS_MAX = 1_500  # per second, by all handlers; sizes the one large job
ROUNDS_OF_SHARES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--handlers", type=int, default=8)
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        shares = [_share(asked.handlers) for _ in range(ROUNDS_OF_SHARES)]
        _submit_all(asked.jobs, int(asked.rounds * asked.seconds * CLAIMS_MAX))
        cache = _board_seconds()
        storms = [_one_and_many(asked.seconds, asked.handlers) for _ in range(asked.rounds)]
    measured = {
        "jobs": asked.jobs,
        "reading the cache of them, ms": round(cache * 1_000, 2),
        "claims/s, one job and many": [[round(s.rate) for s in pair] for pair in storms],
    }
    write("fair", _figures(asked.jobs, storms, shares), measured)


def _share(handlers: int) -> float:
    """The single job's share of all claims until it is done."""
    from joblot import claim, submit

    for n in range(50):
        submit(f"a{n}", _keys(40 * BATCH), pipeline="shares", project="a")
    lone = submit("b", _keys(600 * BATCH), pipeline="shares", project="b").pk

    def act() -> str | None:
        leases = claim("shares", BATCH).leases
        if not leases:
            return None
        return "b" if leases[0].job == lone else "a"

    served = storm(lambda number: act, handlers=handlers, seconds=600.0)
    kinds = [kind for _, kind in sorted(zip(served.ends, served.kinds, strict=True))]
    until_done = kinds[: len(kinds) - kinds[::-1].index("b")]
    share = Counter(until_done)["b"] / len(until_done)
    print(f"share of the project with one job: {share:.3f} of {len(until_done)} claims", flush=True)
    return share


def _submit_all(jobs: int, claims_of_the_one: int) -> None:
    from joblot import claim, submit

    for n in range(jobs):
        made = submit(
            f"j{n}", _keys(CLAIMS_PER_JOB * BATCH), pipeline="many", project=f"p{n % PROJECTS}"
        )
        claim("many", BATCH, job=made.pk)
    submit("one", _keys(claims_of_the_one * BATCH), pipeline="one")


def _board_seconds() -> float:
    from joblot.ledger.claim import candidates

    wanted = candidates.Wanted.of("many", None, None)

    def seconds() -> float:
        began = time.perf_counter()
        candidates.cache_for(wanted, anew=True)
        return time.perf_counter() - began

    return statistics.median(seconds() for _ in range(20))


def _one_and_many(seconds: float, handlers: int) -> tuple[Storm, Storm]:
    one, many = (
        storm(_claimer(pipeline), handlers=handlers, seconds=seconds)
        for pipeline in ("one", "many")
    )
    print(f"claims/s: {one.rate:.0f} of one job, {many.rate:.0f} of many", flush=True)
    return one, many


def _claimer(pipeline: str) -> Callable[[int], Act]:
    from joblot import claim

    def act() -> bool:
        return bool(claim(pipeline, BATCH).leases)

    def prepare(number: int) -> Act:
        act()  # pays each connection's one-time costs
        return act

    return prepare


def _keys(items: int) -> Iterator[str]:
    return (f"k{n}" for n in range(items))


def _figures(jobs: int, storms: list[tuple[Storm, Storm]], shares: list[float]) -> list[Figure]:
    latencies = [
        statistics.median(many.latencies) / statistics.median(one.latencies) for one, many in storms
    ]
    rates = [many.rate / one.rate for one, many in storms]
    return [
        figure(f"claims/s of {jobs:,} jobs / of one job", rates, ">= 0.5"),
        figure(f"a claim, median, of {jobs:,} jobs / of one job", latencies, "<= 2"),
        figure("share of a project of one job beside one of 50 jobs", shares, ">= 0.45"),
        figure("share of the project of 50 jobs", [1 - share for share in shares], ">= 0.45"),
    ]


if __name__ == "__main__":
    main()
