"""Celery with Redis as broker and django-celery-results on PostgreSQL: a chord of all items.

Tuned as in celery_redis.py, and with database connections that stay open between tasks.
https://django-celery-results.readthedocs.io/en/latest/getting_started.html
https://docs.djangoproject.com/en/stable/ref/databases/#persistent-connections
"""

from __future__ import annotations

import os
import sys

import django_project
from note import ITEMS, REDIS_URL, TUNED, called_back, program, ran

django_project.set_up("django_celery_results")

from celery import Celery, chord  # noqa: E402 (its result backend needs Django's settings)

app = Celery("celery_django", broker=f"{REDIS_URL}/0", backend="django-db")
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
    os.execv(celery, [celery, "-A", "celery_django", "worker", "-c", "2", "-l", "WARNING"])


if __name__ == "__main__":
    # The tasks must have the name under which the worker imports this module.
    sys.modules["celery_django"] = sys.modules["__main__"]
    one.name, done.name = "celery_django.one", "celery_django.done"
    verbs = {"prepare": django_project.migrate, "submit": submit, "drain": drain}
    verbs[sys.argv[1]]()
