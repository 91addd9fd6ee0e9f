"""What does renewing a lease cost, beside `SELECT 1` through Django?

    python bench/verbs.py [--rounds 7]

Processor time of client and backend together, as it is stable on a busy machine. The calls are
measured in rounds, in a different order each time.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from functools import partial
from uuid import UUID

import cost
from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
JOBS = 50  # others
Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        calls = _calls()
        spent: dict[str, list[float]] = {name: [] for name in calls}
        for round_ in range(-1, asked.rounds):
            for name in random.sample(list(calls), len(calls)):
                call, times = calls[name]
                taken = cost.spent(call, times).cpu
                if round_ >= 0:  # the first one warms up
                    spent[name].append(taken)
    _tell(spent)


def _calls() -> dict[str, tuple[Call, int]]:
    """The calls to be compared, and how often each is made in a round."""
    from joblot import claim, renew, submit
    from joblot.ledger.lease import renew_many
    from joblot.maintenance import sweep

    for n in range(JOBS):
        submit(f"job {n}", [f"k{i}" for i in range(64)], pipeline="few")
    submit("some", [f"k{n}" for n in range(1_000)], pipeline="some")
    token = claim("some", BATCH).leases[0].token
    tokens = [claim("few", BATCH).leases[0].token for _ in range(16)]
    many = [UUID(one) for one in tokens]
    sweep()
    return {
        "SELECT 1": (cost.select_1, 2_000),
        "renew": (partial(renew, token), 400),
        "renew for 60 s": (partial(renew, token, 60), 400),
        "renew_many of 16": (partial(renew_many, many, 600), 100),
    }


def _tell(spent: dict[str, list[float]]) -> None:
    one = spent["SELECT 1"]

    def beside(name: str) -> list[float]:
        return [taken / limit for taken, limit in zip(spent[name], one, strict=True)]

    figures = [
        figure("renew, CPU / SELECT 1 through Django", beside("renew"), "<= 5"),
        figure("renew for 60 s, CPU / SELECT 1 through Django", beside("renew for 60 s"), "<= 5"),
        figure("renew_many of 16 leases, CPU / SELECT 1", beside("renew_many of 16"), "<= 20"),
    ]
    milliseconds = {name: [round(1e3 * one, 4) for one in taken] for name, taken in spent.items()}
    write("verbs", figures, {"CPU milliseconds a call, by round": milliseconds})


if __name__ == "__main__":
    main()
