"""Is one hot job as fast as many? Reports of 16 results by 32 handlers, and its limits.

    python bench/hot_job.py [--rounds 5] [--seconds 3] [--commit-delay-us 0]

Candidates, each twice per round, in forward and then in reverse order, so that a machine that slows
down affects all equally: joblot on one job; joblot on 32 jobs; *bare*, the same driver only
inserting 16 rows of the same shape; *counter*, the same rows and `n = n + 16` on one row of the
job, in one transaction.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from itertools import count
from statistics import fmean
from uuid import UUID, uuid4

from figures import figure, write
from storm import Act, Storm, storm

from joblot import standalone
from joblot.testing.postgres import PostgresServer

HANDLERS = 32
BATCH = 16
BATCHES_PER_HANDLER = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--commit-delay-us", type=int, default=0)
    asked = parser.parse_args()
    delay = {"commit_delay": str(asked.commit_delay_us), "commit_siblings": "0"}
    with PostgresServer(options=delay if asked.commit_delay_us else {}) as server:
        standalone.setup(server.create_database("bench"))
        _migrate()
        measured = _measure(asked.rounds, asked.seconds)
    _tell(measured, asked.commit_delay_us)


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (LIKE joblot_outcome INCLUDING ALL)")
        cursor.execute("CREATE TABLE counter (id int PRIMARY KEY, n bigint)")
        cursor.execute("INSERT INTO counter VALUES (1, 0)")


def _measure(rounds: int, seconds: float) -> dict[str, list[float]]:
    candidates: dict[str, Callable[[], Callable[[int], Act]]] = {
        "one job": lambda: _reporters(jobs=1),
        "32 jobs": lambda: _reporters(jobs=HANDLERS),
        "bare insert": lambda: _inserters(counting=False),
        "counter": lambda: _inserters(counting=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(rounds + 1):
        there = random.sample(list(candidates), len(candidates))
        found: dict[str, list[float]] = {name: [] for name in candidates}
        for name in there + there[::-1]:
            result: Storm = storm(candidates[name](), handlers=HANDLERS, seconds=seconds)
            print(f"round {round_} {name}: {result.rate:.0f} batches/s", flush=True)
            found[name].append(result.rate)
        if round_:  # the first only warms up
            for name, both in found.items():
                rates[name].append(fmean(both))
    return rates


def _reporters(jobs: int) -> Callable[[int], Act]:
    """Handlers that each report their own leases, granted beforehand."""
    from joblot import report
    from joblot.wire import success

    leases = _granted(jobs)

    def prepare(number: int) -> Act:
        mine = iter(leases[number])

        def act() -> bool:
            lease = next(mine, None)
            if lease is None:
                return False
            token, first = lease
            results = [success(first + n, {"label": n}) for n in range(BATCH)]
            assert all(r.receipt == "counted" for r in report(token, results))
            return True

        return act

    return prepare


def _granted(jobs: int) -> list[list[tuple[UUID, int]]]:
    """Each handler's leases as (token, first item), written as a claim would write them."""
    from joblot import clock, submit
    from joblot.models import Lease

    total = HANDLERS * BATCHES_PER_HANDLER * BATCH // jobs
    made = [submit("bench", map(str, range(total)), pipeline="p", seal=False) for _ in range(jobs)]
    firsts = [count(0, BATCH) for _ in made]
    granted: list[list[tuple[UUID, int]]] = []
    for handler in range(HANDLERS):
        job, first = made[handler % jobs], firsts[handler % jobs]
        mine = [(uuid4(), next(first)) for _ in range(BATCHES_PER_HANDLER)]
        Lease.ledger.bulk_create(
            Lease(
                token=token,
                job_id=job.pk,
                run=1,
                stage=0,
                size=BATCH,
                open=BATCH,
                ranges=[[first_item, first_item + BATCH - 1, 0, 0, 0]],
                claimed_at=clock.now(),
                expires_at=clock.after(3600),
            )
            for token, first_item in mine
        )
        granted.append(mine)
    _settle_the_dust()
    return granted


def _settle_the_dust() -> None:
    """Keep the setup's writes and vacuuming out of the measurement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE joblot_lease, joblot_item, joblot_outcome, joblot_tally")
        cursor.execute("CHECKPOINT")


INSERT = """
INSERT INTO bare (job_id, stage, number, run, state, hash, output, lease_token, settled_at)
SELECT 1, 0, p.number, 1, 1, decode(p.hash, 'hex'), p.output, %(token)s::uuid, statement_timestamp()
FROM jsonb_to_recordset(%(posted)s::jsonb) AS p (number int, hash text, output jsonb)
"""


def _inserters(*, counting: bool) -> Callable[[int], Act]:
    from django.db import connection, transaction

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
    token = uuid4()

    def rows(numbers: Iterator[int]) -> str:
        batch = [
            {"number": next(numbers), "hash": "00" * 32, "output": {"label": n}}
            for n in range(BATCH)
        ]
        return json.dumps(batch)

    def prepare(number: int) -> Act:
        numbers = count(number * 10_000_000)

        def act() -> bool:
            with connection.cursor() as cursor:
                cursor.execute(INSERT, {"posted": rows(numbers), "token": token})
            return True

        def act_counting() -> bool:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(INSERT, {"posted": rows(numbers), "token": token})
                cursor.execute("UPDATE counter SET n = n + %s WHERE id = 1", [BATCH])
            return True

        return act_counting if counting else act

    return prepare


def _tell(rates: dict[str, list[float]], delay_us: int) -> None:
    def ratios(of: str, to: str) -> list[float]:
        return [a / b for a, b in zip(rates[of], rates[to], strict=True)]

    figures = [
        figure("one hot job / 32 jobs", ratios("one job", "32 jobs"), ">= 0.95"),
        figure("joblot / bare insert", ratios("one job", "bare insert"), ">= 0.4"),
    ]
    if delay_us:
        counter = ratios("one job", "counter")
        figures.append(figure("joblot / counter on the job's row", counter, ">= 10"))
    write(f"hot_job_commit_{delay_us}us", figures, {"batches/s": rates})


if __name__ == "__main__":
    main()
