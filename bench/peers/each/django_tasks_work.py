"""The no-op as a task of Django; imported once the settings are made."""

from __future__ import annotations

from django_tasks import task
from note import ran


@task()
def one(number: int) -> None:
    ran(number)
