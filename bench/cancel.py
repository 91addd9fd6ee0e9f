"""How long does a cancel take while handlers claim from the job and report to it?

    python bench/cancel.py [--rounds 10] [--handlers 32] [--settled 1000000]

Each handler alternately claims 16 items and reports them. Meanwhile the hot job and a quiet one
with as many live leases are canceled, in either order, both without grace: the difference is the
delay that the hot job's handlers cause. The handlers then continue with the next job, so that both
are canceled under the same load. So are the `SELECT 1` that are timed just before; what counts is
their mean, since a cancel adds up several round trips. The worst round stands for the 99th
percentile.

Then, without load, a job with a million settled items and one with ten thousand are canceled in
turn, each with as many live leases; after each time the cancel is undone.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from figures import figure, write
from storm import Act, storm

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
ITEMS = 40_000  # more than the handlers can process before the cancel
AFTER_SECONDS = 2.0
LONGEST_SECONDS = 4.0  # upper estimate for both cancels
SELECTS = 100  # in each round
FEW_SETTLED = 10_000
CANCELS = 15  # of each of the two jobs


@dataclass(slots=True)
class Cancels:
    """Seconds, one number per round."""

    hot: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    claim: list[float] = field(default_factory=list)
    select: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--handlers", type=int, default=32)
    parser.add_argument("--settled", type=int, default=1_000_000)
    asked = parser.parse_args()
    took = Cancels()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        for _ in range(asked.rounds):
            _cancel_in_the_midst(asked.handlers, took)
        settled = _after_much_was_settled(asked.settled)
    _tell(took, asked.handlers, settled)


def _cancel_in_the_midst(handlers: int, took: Cancels) -> None:
    from joblot import claim, submit

    keys = [f"k{n}" for n in range(ITEMS)]
    first = submit("first", keys[:BATCH], pipeline="unused").pk
    quiet = submit("quiet", keys[: handlers * BATCH], pipeline="quiet").pk
    hot = submit("hot", keys, pipeline="hot").pk
    submit("next", keys, pipeline="hot", priority=-1)
    for _ in range(handlers):
        claim("quiet", BATCH)

    began: list[float] = []
    canceller = threading.Timer(AFTER_SECONDS, _cancel_both, (first, quiet, hot, took, began))
    canceller.start()  # it connects after the handlers have been forked
    result = storm(_handler, handlers=handlers, seconds=AFTER_SECONDS + LONGEST_SECONDS)
    canceller.join()
    acts = list(zip(result.kinds, result.latencies, result.ends, strict=True))
    for kind, seconds in (("report", took.report), ("claim", took.claim)):
        before = [latency for of, latency, end in acts if of == kind and end < began[0]]
        seconds.append(statistics.median(before))


def _cancel_both(first: int, quiet: int, hot: int, took: Cancels, began: list[float]) -> None:
    """`first` is canceled only so that neither of the others pays the one-time costs."""
    from django.db import connections

    from joblot import cancel

    cancel(first, grace_seconds=0)
    took.select.append(statistics.mean(_seconds(_select_1) for _ in range(SELECTS)))
    began.append(time.monotonic())
    both = [(quiet, took.quiet), (hot, took.hot)]
    for job, seconds in random.sample(both, 2):
        since = time.monotonic()
        cancel(job, grace_seconds=0)
        seconds.append(time.monotonic() - since)
    connections.close_all()


def _select_1() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _handler(number: int) -> Act:
    """Claims and reports in turn until nothing is left to claim."""
    from joblot import claim, report
    from joblot.wire import success

    held: list[Callable[[], object]] = []

    def act() -> str | None:
        if held:
            held.pop()()
            return "report"
        for lease in claim("hot", BATCH).leases:
            results = [success(item.id, {"label": 1}) for item in lease.items]
            held.append(partial(report, lease.token, results))
        return "claim" if held else None

    return act


# Puts settled items into a job, as reports of 16 would have.
SETTLE = f"""
INSERT INTO joblot_outcome (job_id, stage, number, run, state, lease_token)
    SELECT %(job)s, 0, n, 1, 1, NULL FROM generate_series(0, %(items)s - 1) n;
INSERT INTO joblot_lease (
    token, job_id, run, stage, state, size, open, ranges, gone, worker, claimed_at, expires_at
)
    SELECT gen_random_uuid(), %(job)s, 1, 0, 1, {BATCH}, 0,
           jsonb_build_array(jsonb_build_array(n, n + {BATCH} - 1, 0, 0, 0)), '[]', '', now(), now()
    FROM generate_series(0, %(items)s - 1, {BATCH}) n;
INSERT INTO joblot_tally (job_id, stage, slot, succeeded) VALUES (%(job)s, 0, 1, %(items)s);
DELETE FROM joblot_range WHERE job_id = %(job)s;
INSERT INTO joblot_range (job_id, stage, next, last)
    SELECT id, 0, %(items)s, total - 1 FROM joblot_job WHERE id = %(job)s;
"""
UNDO = """
SET LOCAL session_replication_role = replica;
UPDATE joblot_job SET status = 'STARTED', revision = 0, recorded = NULL, finished_at = NULL,
       cancel_closes_at = NULL WHERE id = %(job)s;
UPDATE joblot_lease SET state = 0 WHERE job_id = %(job)s AND state = 3;
DELETE FROM joblot_event WHERE job_id = %(job)s;
"""


def _after_much_was_settled(many: int) -> dict[int, list[float]]:
    """Seconds of each cancel, by how many items are settled."""
    from joblot import cancel

    jobs = {settled: _settled(settled) for settled in (FEW_SETTLED, many)}
    took: dict[int, list[float]] = {settled: [] for settled in jobs}
    for round_ in range(CANCELS + 1):
        for settled, job in random.sample(list(jobs.items()), 2):
            seconds = _seconds(lambda job=job: cancel(job, grace_seconds=0))
            _run(UNDO, job=job)
            if round_:  # the first one warms up
                took[settled].append(seconds)
    return took


def _settled(items: int) -> int:
    """A job with settled items and two leases in work."""
    from joblot import claim, submit

    pipeline = f"{items} settled"
    keys = (f"k{n}" for n in range(items + 2 * BATCH))
    job = submit(pipeline, keys, pipeline=pipeline).pk
    _run(SETTLE, job=job, items=items)
    for _ in range(2):
        claim(pipeline, BATCH)
    _run("ANALYZE joblot_lease, joblot_outcome, joblot_job")
    return int(job)


def _run(sql: str, **given: int) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        for statement in filter(str.strip, sql.split(";")):
            cursor.execute(statement, given)


def _tell(took: Cancels, handlers: int, settled: dict[int, list[float]]) -> None:
    few, many = settled.values()
    name = f"a cancel under {handlers} handlers, the worst of {len(took.hot)}"
    beside = [hot / quiet for hot, quiet in zip(took.hot, took.quiet, strict=True)]
    select, report = statistics.mean(took.select), statistics.median(took.report)
    sizes = " / ".join(f"after {items:,} settled items" for items in reversed(settled))
    figures = [
        figure(f"{name} / SELECT 1 under the same load", [max(took.hot) / select], "<= 20"),
        figure(f"{name} / one report, median", [max(took.hot) / report], "<= 10"),
        figure("a cancel of the hot job / of a quiet one at the same time", beside, "<= 3"),
        figure(f"a cancel {sizes}", [statistics.median(many) / statistics.median(few)], "<= 1.5"),
    ]
    measured = {
        "cancel of the hot job": took.hot,
        "cancel of the quiet job": took.quiet,
        "SELECT 1, mean": took.select,
        "one report, median": took.report,
        "one claim, median": took.claim,
        **{f"cancel after {items:,} settled items": seconds for items, seconds in settled.items()},
    }
    write("cancel", figures, {"seconds, by round": measured})


if __name__ == "__main__":
    main()
