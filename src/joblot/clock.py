"""The only clock: the database's.

Workers and servers may disagree about the time, but they share one database. Tests may set the
clock of their process; every statement then uses that time instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import DateTimeField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Now


@dataclass(slots=True)
class _Clock:
    frozen: datetime | None = None


_clock = _Clock()


def now() -> Now | Value:
    """The statement's time, as an expression for the ORM."""
    return Now() if _clock.frozen is None else Value(_clock.frozen, output_field=DateTimeField())


def after(seconds: float) -> Combinable:
    """`seconds` from now, as an expression for the ORM.

    For 0 nothing is added: SQLite compares times as text, and a sum has more digits than `now()`,
    so it would sort after the same moment.
    """
    return now() + timedelta(seconds=seconds) if seconds else now()


def frozen() -> datetime | None:
    """The time set by a test, for statements written in SQL."""
    return _clock.frozen


@contextmanager
def set_clock(moment: datetime) -> Iterator[None]:
    """For tests: inside the block, every statement of this process uses the time `moment`."""
    before, _clock.frozen = _clock.frozen, moment
    try:
        yield
    finally:
        _clock.frozen = before
