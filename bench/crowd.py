"""Do waiting ranges and leases of other pipelines slow down claims? Two databases, in turns.

    python bench/crowd.py [--rounds 5]

Both contain 180 jobs with all items leased; the crowded one also has, in other pipelines, 18,000
waiting ranges and 162,000 live leases. Each round measures in both, as the median of a few: a claim
that finds nothing, a waiting worker's check for work, and a sweep for expired leases.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

JOBS, OTHER_JOBS = 180, 18
TIMES = 10  # of each act per round
RANGES = "INSERT INTO joblot_range (job_id, stage, next, last) SELECT id, 0, 10 * n, 10 * n + 9 "
LEASES = (
    "INSERT INTO joblot_lease (token, job_id, run, stage, state, size, open, ranges, gone, worker, "
    "claimed_at, expires_at) SELECT gen_random_uuid(), id, 1, 0, 0, 1, 1, '[]', '[]', '', now(), "
    "now() + interval '1 hour' "
)
OF_EACH_JOB = "FROM joblot_job, generate_series(1, %s) n"
DATABASES = ("quiet", "crowded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with PostgresServer() as server:
        urls = {name: server.create_database(name) for name in DATABASES}
        standalone.setup(urls["quiet"])
        for name, url in urls.items():
            _point(url)
            _prepare(crowded=name == "crowded")
        measured = _measure(urls, rounds)
    bounds = {"a claim that finds nothing": 3, "a waiting worker's check for work": 3, "a sweep": 3}
    figures = [
        figure(
            f"{act}, crowded / quiet",
            [c / q for c, q in zip(measured["crowded"][act], measured["quiet"][act], strict=True)],
            f"<= {most}",
        )
        for act, most in bounds.items()
    ]
    write("crowd", figures, {"seconds": measured})


def _point(url: str) -> None:
    """Point this process's connection to another database."""
    from django.db import connection

    from joblot.ledger.claim import queue
    from joblot.ledger.rows import claimable

    queue.forget()
    claimable.note_claimable()
    connection.close()
    connection.settings_dict["NAME"] = standalone.database_of(url)["NAME"]


def _prepare(*, crowded: bool) -> None:
    from django.core.management import call_command
    from django.db import connection

    from joblot import claim, submit

    call_command("migrate", verbosity=0)
    if crowded:
        for n in range(OTHER_JOBS):
            submit(f"other {n}", ["one"], pipeline="elsewhere")
        with connection.cursor() as cursor:
            cursor.execute(RANGES + OF_EACH_JOB, [1_000])
            cursor.execute(LEASES + OF_EACH_JOB, [9_000])
    for n in range(JOBS):
        submit(f"mine {n}", ["one"], pipeline="mine")
        claim("mine")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _measure(urls: dict[str, str], rounds: int) -> dict[str, dict[str, list[float]]]:
    from joblot import claim
    from joblot.ledger.claim.availability import ready_for
    from joblot.ledger.claim.candidates import Wanted
    from joblot.ledger.lease import expire_overdue

    wanted = Wanted.of("mine", None, None)
    acts: dict[str, Callable[[], object]] = {
        "a claim that finds nothing": lambda: claim("mine"),
        "a waiting worker's check for work": lambda: ready_for({wanted}),
        "a sweep": expire_overdue,
    }
    found = {name: {act: [] for act in acts} for name in urls}
    for round_ in range(rounds + 1):
        for name, url in urls.items():
            _point(url)
            for act, call in acts.items():
                seconds = _median(call)
                if round_:  # the first one only warms up
                    found[name][act].append(seconds)
        print({n: {a: round(1000 * s[-1], 2) for a, s in f.items() if s} for n, f in found.items()})
    return found


def _median(call: Callable[[], object]) -> float:
    call()  # warms up the new connection
    seconds = []
    for _ in range(TIMES):
        began = time.monotonic()
        call()
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
