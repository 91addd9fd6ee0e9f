"""Results that were deferred: which, why and since when.

A note for people, written after the transaction of the report, in one of its own. Each result has a
row of its own, so reports don't wait for each other. A hook that works costs nothing here: the note
of a result is over once the result is recorded, which readers see, and the sweep removes it later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.db.models import Exists, OuterRef, Q

from joblot import clock
from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.transactions import alias, durable, repeated
from joblot.ledger.rows.error_text import error_text
from joblot.ledger.rows.job import stages_of
from joblot.ledger.rows.log import log
from joblot.models import Deferral, Outcome, Uncounted
from joblot.shown import counted_and
from joblot.states import ItemState, Receipt

logger = logging.getLogger("joblot.ledger")

CAUSE_CHARS_MAX = 300
LOCK_SECONDS_MAX = 1.0  # that a note waits for a row; it is not worth more
REPOSTED_SECONDS = 60.0  # twice the longest back-off of joblot's workers
REMOVED_BATCH = 1_000  # notes removed in one round of the sweep
_REMEMBERED_MAX = 4_096

# Threads: hints, each written by one assignment; at worst a line is logged twice.
_logged_at: dict[tuple[str, int, int, str], float] = {}


@dataclass(frozen=True, slots=True)
class Deferred:
    """A result that was deferred, and the cause: "on_result('save') raised KeyError: 'x'"."""

    number: int
    source: str  # on_result, on_late, storage
    cause: str


def raised(what: str, error: BaseException | None) -> str:
    """The cause of a deferral, in one line: on later lines PostgreSQL shows rows."""
    text = "an error" if error is None else error_text(error).partition("\n")[0]
    return f"{what} raised {text}"[:CAUSE_CHARS_MAX]


def note(job_id: int, stage: int, deferred: Sequence[Deferred]) -> None:
    """Note that these results were deferred; a failure to do so is logged and otherwise ignored."""
    try:
        _write(job_id, stage, deferred)
        if is_due(job_id, stage, deferred[0].source):
            _log(job_id, stage, deferred)
    except (DatabaseError, JoblotError) as error:
        logger.warning("job %s: deferred results could not be noted: %s", job_id, error)


def _log(job_id: int, stage: int, deferred: Sequence[Deferred]) -> None:
    results = counted_and(len(deferred), "result", "was", "were")
    text = f"{results} deferred because {deferred[0].cause}; to be posted again"
    first, name = min(one.number for one in deferred), stages_of(job_id)[stage].name
    log(job_id, text, level="warning", stage=name, number=first)


def _write(job_id: int, stage: int, deferred: Sequence[Deferred]) -> None:
    """Locks the notes of these items, by number."""
    rows = [
        Deferral(
            job_id=job_id,
            stage=stage,
            number=one.number,
            source=one.source,
            cause=one.cause[:CAUSE_CHARS_MAX],
            first_at=clock.now(),
            last_at=clock.now(),
        )
        for one in sorted(deferred, key=lambda one: one.number)
    ]
    with durable() as conn:
        dialect_of(conn).limit_lock_wait(conn, LOCK_SECONDS_MAX)
        Deferral.ledger.using(alias()).bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["job_id", "stage", "number"],
            update_fields=["source", "cause", "last_at"],
        )


def is_due(job_id: int, stage: int, about: str) -> bool:
    """True once every `deferral_log_seconds`, in this process: then a line about this is logged."""
    key, now = (alias(), job_id, stage, about), time.monotonic()
    if now - _logged_at.get(key, float("-inf")) < limits().deferral_log_seconds:
        return False
    if len(_logged_at) >= _REMEMBERED_MAX:
        _logged_at.clear()
    _logged_at[key] = now
    return True


def current(**where: Any) -> Any:
    """The notes of results that are still to be recorded, as far as joblot can know."""
    since = clock.after(-limits().deferral_kept_seconds)
    same = {name: OuterRef(name) for name in ("job_id", "stage", "number")}
    recorded = Outcome.ledger.filter(
        Q(state=ItemState.SUCCEEDED) | Q(settled_at__gte=OuterRef("last_at")), **same
    )
    late = Uncounted.ledger.filter(receipt=Receipt.LATE.value, at__gte=OuterRef("first_at"), **same)
    rows = Deferral.ledger.using(alias()).filter(last_at__gt=since, **where)
    return rows.exclude(Exists(late)).exclude(~Q(source="on_late") & Exists(recorded))


def recent() -> Any:
    """The notes of results that are deferred now: workers post them again within this time."""
    return Deferral.ledger.using(alias()).filter(last_at__gt=clock.after(-REPOSTED_SECONDS))


@repeated
def forget_old() -> None:
    """Remove the notes of results that were not posted again for `deferral_kept_seconds`."""
    old = Deferral.ledger.using(alias()).filter(
        last_at__lt=clock.after(-limits().deferral_kept_seconds)
    )
    if found := list(old.order_by("last_at").values_list("pk", flat=True)[:REMOVED_BATCH]):
        old.filter(pk__in=found).delete()
