"""How long does a cancel take while handlers claim from the job and report to it?

    python bench/cancel.py [--rounds 10] [--handlers 16]

Each handler alternately claims 16 items and reports them. Meanwhile the hot job and a quiet one
with as many live leases are canceled, in either order, both without grace: the difference is the
delay that the hot job's handlers cause. The handlers then continue with the next job, so that both
are canceled under the same load. The worst round stands for the 99th percentile.
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


@dataclass(slots=True)
class Cancels:
    """Seconds, one number per round."""

    hot: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    report: list[float] = field(default_factory=list)
    claim: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--handlers", type=int, default=16)
    asked = parser.parse_args()
    took = Cancels()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        for _ in range(asked.rounds):
            _cancel_in_the_midst(asked.handlers, took)
    _tell(took, asked.handlers)


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
    began.append(time.monotonic())
    both = [(quiet, took.quiet), (hot, took.hot)]
    for job, seconds in random.sample(both, 2):
        since = time.monotonic()
        cancel(job, grace_seconds=0)
        seconds.append(time.monotonic() - since)
    connections.close_all()


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


def _tell(took: Cancels, handlers: int) -> None:
    one_report = statistics.median(took.report)
    name = f"a cancel under {handlers} handlers, the worst of {len(took.hot)} / one report, median"
    beside = [hot / quiet for hot, quiet in zip(took.hot, took.quiet, strict=True)]
    figures = [
        figure(name, [max(took.hot) / one_report], "<= 10"),
        figure("a cancel of the hot job / of a quiet one at the same time", beside, "<= 3"),
    ]
    measured = {
        "cancel of the hot job": took.hot,
        "cancel of the quiet job": took.quiet,
        "one report, median": took.report,
        "one claim, median": took.claim,
    }
    write("cancel", figures, {"seconds, by round": measured})


if __name__ == "__main__":
    main()
