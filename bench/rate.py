"""What a rate limit costs a claim: of its job, of its pipeline, and none; the limits are far away.

    python bench/rate.py [--rounds 5] [--threads 4]

Claims of one item from PostgreSQL, each a call of its own, in turns of random order. The processor
time is that of the database's processes and of this one; claims per second are of all threads.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from joblot import standalone
from joblot.testing.postgres import PostgresServer

CLAIMS = 400  # of each thread in a round
FAR = {"rate_items_max": 10**9}
WAYS = ("no limit", "of its job", "of its pipeline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        for threads in sorted({1, asked.threads}):
            _tell(threads, _measure(asked.rounds, threads))


def _measure(rounds: int, threads: int) -> dict[str, list[dict[str, float]]]:
    from joblot import submit
    from joblot.maintenance import edit_pipeline

    jobs = {
        way: submit(
            way,
            map(str, range((rounds + 1) * threads * CLAIMS)),
            pipeline=f"{way} {threads}",
            policy=FAR if way == "of its job" else {},
        ).pk
        for way in WAYS
    }
    edit_pipeline(f"of its pipeline {threads}", policy=FAR)
    costs: dict[str, list[dict[str, float]]] = {way: [] for way in jobs}
    with ThreadPoolExecutor(threads) as pool:
        for number in range(rounds + 1):
            for way in random.sample(sorted(jobs), len(jobs)):
                began, client, server = time.perf_counter(), time.process_time(), _server_seconds()
                list(pool.map(_claim, [f"{way} {threads}"] * threads))
                elapsed = time.perf_counter() - began
                cost = time.process_time() - client + _server_seconds() - server
                if number:  # the first round warms up
                    claims = threads * CLAIMS
                    costs[way].append({"ms": 1e3 * cost / claims, "per s": claims / elapsed})
    return costs


def _claim(pipeline: str) -> None:
    from joblot import claim

    for _ in range(CLAIMS):
        assert claim(pipeline, 1).leases


def _server_seconds() -> float:
    """The processor time of PostgreSQL's processes on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        pids = [pid for (pid,) in cursor.fetchall()]
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def _tell(threads: int, costs: dict[str, Any]) -> None:
    for way, rounds in costs.items():
        ms = statistics.median(one["ms"] for one in rounds)
        rate = statistics.median(one["per s"] for one in rounds)
        print(f"{threads} threads, {way}: {ms:.3f} ms of processor time, {rate:,.0f} claims/s")
    for way in WAYS[1:]:
        pairs = zip(costs[WAYS[0]], costs[way], strict=True)
        ratios = sorted(limited["ms"] / plain["ms"] for plain, limited in pairs)
        low, middle, high = ratios[0], statistics.median(ratios), ratios[-1]
        print(f"{threads} threads, {way} / {WAYS[0]}: {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
