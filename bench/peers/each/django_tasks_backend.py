"""django-tasks with its database backend on PostgreSQL: two `db_worker` processes.

Its documentation names no setting for throughput, so it runs with its defaults only; "tuned" polls
without the delay at the start (`--no-startup-delay`, `--interval 0`).
https://github.com/RealOrangeOne/django-tasks-db#readme
There is no bulk enqueue, and it has no groups: nothing fires when all are done.
"""

from __future__ import annotations

import sys

import django_project
from note import ITEMS, TUNED

django_project.set_up(
    "django_tasks",
    "django_tasks_db",
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}},
)

from django.core.management import call_command  # noqa: E402 (after the settings)


def submit() -> None:
    from django_tasks_work import one

    for number in range(ITEMS):
        one.enqueue(number)


def drain() -> None:
    call_command("db_worker", *(["--no-startup-delay", "--interval", "0"] if TUNED else []))


if __name__ == "__main__":
    {"prepare": django_project.migrate, "submit": submit, "drain": drain}[sys.argv[1]]()
