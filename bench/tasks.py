"""What does a task of Django's cost: as a job of one item, or as an item of an open job?

    python bench/tasks.py [--rounds 7] [--tasks 200] [--backlog 5000]

PostgreSQL; processor time of client and backend together, as it is stable on a busy machine. In
each round both kinds are enqueued, and then claimed and reported one by one. The transactions are
those of a few threads, each of which enqueues a task and goes on for a while, as a view does.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import cost
from figures import figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

PAYLOAD = {"django_task": {"task": "shop.tasks.send", "args": [1, 2], "kwargs": {"to": "ana"}}}
THREADS = 4
TRANSACTIONS = 10  # of each thread
TRANSACTION_SECONDS = 0.02

Enqueue = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--backlog", type=int, default=5_000)
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        kinds = {"job of one item": _jobs(), "item of an open job": _items()}
        rounds = [_round(kinds, asked.tasks) for _ in range(asked.rounds + 1)]
        together = {name: _transactions_per_second(kinds[name][1]) for name in kinds}
        behind = _behind_a_backlog(kinds["job of one item"], asked.backlog, asked.tasks)
    del rounds[0]  # it warms up
    one, other = kinds
    figures = [
        figure(
            f"CPU to {act}, {one} / {other}",
            [found[f"{act}, {one}"] / found[f"{act}, {other}"] for found in rounds],
            must,
        )
        for act, must in (("enqueue", "<= 2"), ("claim and report", "<= 5"))
    ]
    figures.append(
        figure(
            f"enqueuing transactions a second, {one} / {other}",
            [together[one] / together[other]],
            ">= 2",
        )
    )
    alone = sorted(found[f"claim and report, {one}"] for found in rounds)[len(rounds) // 2]
    name = f"CPU to claim and report, {asked.backlog} tasks waiting / few"
    figures.append(figure(name, [behind / alone], "<= 3"))
    milliseconds = [{name: round(1e3 * taken, 3) for name, taken in one.items()} for one in rounds]
    write(
        "tasks",
        figures,
        {
            "CPU milliseconds a task, by round": milliseconds,
            "CPU milliseconds to claim and report behind the backlog": round(1e3 * behind, 3),
            "transactions a second": {name: round(rate, 1) for name, rate in together.items()},
        },
    )


def _jobs() -> tuple[str, Enqueue]:
    from joblot.ledger.submit.one import submit_one

    def enqueue() -> object:
        item = {"key": uuid4().hex, "payload": PAYLOAD}
        return submit_one("shop.tasks.send", item, pipeline="jobs")

    return "jobs", enqueue


def _items() -> tuple[str, Enqueue]:
    """`add_items` refuses to run in a caller's transaction; this is what it does."""
    from joblot import submit
    from joblot.errors import WrongStatus
    from joblot.ledger.submit.items import Filling, chunks_of

    queue = submit("queue", pipeline="items", seal=False)

    def enqueue() -> object:
        item = {"key": uuid4().hex, "payload": PAYLOAD}
        return Filling(queue.pk, lambda job, key: WrongStatus(key)).take(chunks_of([item]))

    return "items", enqueue


def _round(kinds: dict[str, tuple[str, Enqueue]], tasks: int) -> dict[str, float]:
    """CPU seconds a task."""
    found = {}
    for name, (pipeline, enqueue) in kinds.items():
        found[f"enqueue, {name}"] = cost.spent(enqueue, tasks).cpu
        found[f"claim and report, {name}"] = cost.spent(_working(pipeline), tasks).cpu
    return found


def _working(pipeline: str) -> Callable[[], object]:
    from joblot import claim, report, success

    def work() -> object:
        (lease,) = claim(pipeline, 1, worker="bench").leases
        return report(lease.token, [success(lease.items[0].id)])

    return work


def _behind_a_backlog(kind: tuple[str, Enqueue], backlog: int, tasks: int) -> float:
    pipeline, enqueue = kind
    for _ in range(backlog):
        enqueue()
    return cost.spent(_working(pipeline), tasks).cpu


def _transactions_per_second(enqueue: Enqueue) -> float:
    from django.db import connections, transaction

    def work() -> None:
        for _ in range(TRANSACTIONS):
            with transaction.atomic():
                enqueue()
                time.sleep(TRANSACTION_SECONDS)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * TRANSACTIONS / (time.monotonic() - began)


if __name__ == "__main__":
    main()
