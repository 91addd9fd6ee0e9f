"""RQ on Redis: `enqueue_many`, and a worker pool of two.

Tuned: SimpleWorker, which does not fork for each job, and no results kept.
https://python-rq.org/docs/benchmark/ (SimpleWorker for very short jobs)
https://python-rq.org/docs/results/ (result_ttl)
RQ keeps no count of a group, so nothing fires when all are done.
"""

from __future__ import annotations

import os
import sys

from note import ITEMS, REDIS_URL, TUNED, program, ran
from redis import Redis
from rq import Queue

CHUNK = 1_000


def one(number: int) -> None:
    ran(number)


def submit() -> None:
    import rq_redis

    queue = Queue(connection=Redis.from_url(REDIS_URL))
    options = {"result_ttl": 0} if TUNED else {}
    for start in range(0, ITEMS, CHUNK):
        chunk = range(start, min(start + CHUNK, ITEMS))
        queue.enqueue_many(
            [Queue.prepare_data(rq_redis.one, (number,), **options) for number in chunk]
        )


def drain() -> None:
    rq = program("rq")
    kind = ["-w", "rq.SimpleWorker"] if TUNED else []
    os.execv(rq, [rq, "worker-pool", "-n", "2", *kind, "-u", REDIS_URL, "--logging-level", "WARN"])


if __name__ == "__main__":
    {"prepare": lambda: None, "submit": submit, "drain": drain}[sys.argv[1]]()
