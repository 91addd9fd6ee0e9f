"""What a report that claims the next lease costs, beside the two calls.

    python bench/next_claim.py [--rounds 7] [--commit-delay-us 0]

One connection works through a job in leases of 16 items. In each round both ways take turns in
random order, and each figure is a ratio within a round.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
ACTS, WARM = 150, 15
PIPELINE = "p"
WAYS = ("one call", "two calls")

Cost = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--commit-delay-us", type=int, default=0)
    asked = parser.parse_args()
    delay = {"commit_delay": str(asked.commit_delay_us), "commit_siblings": "0"}
    with PostgresServer(options=delay if asked.commit_delay_us else {}) as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        measured = _measure(asked.rounds)
    _tell(measured, asked.commit_delay_us)


def _measure(rounds: int) -> dict[str, list[Cost]]:
    from joblot import submit

    items = (rounds + 1) * len(WAYS) * (ACTS + WARM + 1) * BATCH
    submit("bench", map(str, range(items)), pipeline=PIPELINE)
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for round_ in range(rounds):
        for way in random.sample(WAYS, len(WAYS)):
            costs[way].append(_cost(way))
            shown = ", ".join(f"{name} {value:.3f}" for name, value in costs[way][-1].items())
            print(f"{round_} {way}: {shown}", flush=True)
    return costs


def _cost(way: str) -> Cost:
    """Milliseconds of one report and claim: processor time of client and server, and elapsed."""
    from django.db import connection

    act = _working(at_once=way == "one call")
    for _ in range(WARM):
        act()
    backend = connection.connection.info.backend_pid
    began, client, server = time.perf_counter(), time.process_time(), _nanoseconds(backend)
    for _ in range(ACTS):
        act()
    return {
        "client": 1e3 * (time.process_time() - client) / ACTS,
        "server": (_nanoseconds(backend) - server) / 1e6 / ACTS,
        "elapsed": 1e3 * (time.perf_counter() - began) / ACTS,
    }


def _working(*, at_once: bool) -> Callable[[], Any]:
    """Reports the lease it holds and claims the next one."""
    from joblot import NextClaim, claim, report
    from joblot.wire import success

    held = claim(PIPELINE, BATCH).leases[0]

    def act() -> None:
        nonlocal held
        results = [success(item.id, {"label": item.id}) for item in held.items]
        if at_once:
            answer = report(held.token, results, claim_next=NextClaim([PIPELINE], BATCH))
            assert answer.claim is not None
            (held,) = answer.claim.leases
        else:
            report(held.token, results)
            (held,) = claim(PIPELINE, BATCH).leases

    return act


def _nanoseconds(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _tell(measured: dict[str, list[Cost]], delay: int) -> None:
    def ratios(*names: str) -> list[float]:
        one, two = ([sum(map(cost.get, names)) for cost in measured[way]] for way in WAYS)  # type: ignore[arg-type]
        return [after / before for before, after in zip(one, two, strict=True)]

    at = f", commits of {delay / 1e3:g} ms" if delay else ""
    figures = [
        figure(
            f"report and claim in one call / in two, throughput{at}", ratios("elapsed"), ">= 1.3"
        ),
        figure(
            f"report and claim in two calls / in one, processor time{at}",
            ratios("client", "server"),
            ">= 1.1",
        ),
    ]
    name = "next_claim_2ms" if delay else "next_claim"
    write(name, figures, {"milliseconds by round": measured})


if __name__ == "__main__":
    main()
