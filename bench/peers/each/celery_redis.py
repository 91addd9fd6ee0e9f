"""Celery with Redis as broker and result backend: a chord of all items and one callback.

Tuned: the prefetch limit for many short tasks, and acknowledgement after the task so that a killed
worker's tasks are run again, after a visibility timeout shortened from an hour to 20 s.
https://docs.celeryq.dev/en/stable/userguide/optimizing.html (prefetch limits)
https://docs.celeryq.dev/en/stable/faq.html (should I use retry or acks_late?)
https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html (visibility)
"""

from __future__ import annotations

import os
import sys

from celery import Celery, chord
from note import ITEMS, REDIS_URL, TUNED, called_back, program, ran

app = Celery("celery_redis", broker=f"{REDIS_URL}/0", backend=f"{REDIS_URL}/1")
if TUNED:
    app.conf.update(
        worker_prefetch_multiplier=128,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        broker_transport_options={"visibility_timeout": 20},
    )


@app.task
def one(number: int) -> None:
    ran(number)


@app.task
def done(results: list[None]) -> None:
    called_back(len(results))


def submit() -> None:
    chord(one.s(number) for number in range(ITEMS))(done.s())


def drain() -> None:
    celery = program("celery")
    os.execv(celery, [celery, "-A", "celery_redis", "worker", "-c", "2", "-l", "WARNING"])


if __name__ == "__main__":
    # The tasks must have the name under which the worker imports this module.
    import celery_redis

    {"prepare": lambda: None, "submit": celery_redis.submit, "drain": drain}[sys.argv[1]]()
