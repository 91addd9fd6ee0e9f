"""DBOS on PostgreSQL: a workflow per item on a durable queue, and two processes.

Tuned: how many workflows a process takes at once (worker_concurrency), and how often it asks.
https://docs.dbos.dev/python/tutorials/queue-tutorial (managing concurrency)
https://docs.dbos.dev/python/reference/queues (polling_interval_sec)
Items are enqueued one by one, as there is no bulk call. The callback that its tutorial uses is a
parent workflow that waits for each handle in turn, which is not measured here.
"""

from __future__ import annotations

import os
import signal
import sys

from dbos import DBOS
from note import DATABASE_URL, ITEMS, TUNED, ran

DBOS(
    config={
        "name": "peers",
        "system_database_url": DATABASE_URL,
        "application_version": "1",
        "run_admin_server": False,
        "log_level": "WARNING",
    }
)


@DBOS.workflow(name="one")
def one(number: int) -> None:
    ran(number)


def launch() -> None:
    DBOS.launch()
    options = {"worker_concurrency": 100, "polling_interval_sec": 0.1} if TUNED else {}
    DBOS.register_queue("items", **options)


def prepare() -> None:
    DBOS.launch()
    DBOS.destroy()


def submit() -> None:
    DBOS.listen_queues([])
    launch()
    for number in range(ITEMS):
        DBOS.enqueue_workflow("items", one, number)
    sys.stdout.flush()
    os._exit(0)  # without waiting for its threads


def drain() -> None:
    """Each process is an executor of its own, with the same name after a restart."""
    launch()
    signal.pause()


if __name__ == "__main__":
    {"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]()
