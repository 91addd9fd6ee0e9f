"""The Celery application of fan_out.py: one task for a group, and the same for a fan-out.

`celery -A fan_out_app worker`, in this folder, with BENCH_BROKER and JOBLOT_DATABASE_URL.
"""

from __future__ import annotations

import os

from celery import Celery

from joblot import standalone

BROKER = os.environ["BENCH_BROKER"]

standalone.setup(os.environ["JOBLOT_DATABASE_URL"])

from joblot.contrib.celery import ItemTask  # noqa: E402 (needs the settings)

app = Celery("bench", broker=f"{BROKER}/0", backend=f"{BROKER}/1")
app.conf.broker_connection_retry_on_startup = True


@app.task(name="alone")
def alone(number: int) -> int:
    return number * number


@app.task(base=ItemTask, name="member")
def member(number: int) -> int:
    return number * number
