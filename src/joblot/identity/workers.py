"""Workers: a token and the instance id a worker names itself by, and when each was last seen.

Seeing a worker is a hint for people: it is written beside the work, at most every
`worker_seen_seconds` for each, and a failure to write it harms nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from django.db import DatabaseError, router
from django.db.models import Q

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput, InvalidResult
from joblot.ledger.db.snapshot import one_snapshot
from joblot.ledger.db.transactions import repeated
from joblot.ledger.rows.names import checked_name
from joblot.models import WorkerInstance
from joblot.wire import canonical

logger = logging.getLogger("joblot.identity")

_REMEMBERED_MAX = 100_000

_lock = threading.Lock()
# Threads: read and changed under the lock only.
_seen_at: dict[tuple[str, int, str], tuple[float, Any]] = {}  # and what it said of itself


def seen(owner: int, instance: str, about: Any = None) -> None:
    """This worker made a request just now; `about` is what it says of itself, a JSON object."""
    checked_name(instance, "Joblot-Worker")
    about = _checked_about(about)
    if not _is_due(owner, instance, about):
        return
    try:
        _write(owner, instance, about)
    except DatabaseError as error:
        logger.warning("worker %s was seen, and that could not be written: %s", instance, error)


@repeated
@one_snapshot()
def workers(owner: int | None = None) -> list[dict[str, Any]]:
    """Every worker ever seen, the last seen first; `online` says if that was a moment ago."""
    rows = _rows() if owner is None else _rows().filter(owner=owner)
    recent = set(rows.filter(_is_recent()).values_list("pk", flat=True))
    return [
        {
            "owner": row.owner,
            "instance": row.instance,
            "about": row.about,
            "first_seen_at": row.first_seen_at.isoformat(),
            "last_seen_at": row.last_seen_at.isoformat(),
            "online": row.pk in recent,
        }
        for row in rows.order_by("-last_seen_at", "-pk")[: limits().page_items_max]
    ]


@repeated
def online() -> int:
    """How many were seen within `worker_offline_seconds`."""
    return int(_rows().filter(_is_recent()).count())


def _is_recent() -> Q:
    """Not in what is the future either: there a clock that was ahead has put it."""
    seconds = limits().worker_offline_seconds
    return Q(last_seen_at__gt=clock.after(-seconds), last_seen_at__lt=clock.after(seconds))


def _rows() -> Any:
    return WorkerInstance.objects.using(router.db_for_write(WorkerInstance))


def _is_due(owner: int, instance: str, about: Any) -> bool:
    """True for one caller every `worker_seen_seconds`, and for who says something new of itself."""
    key, now = (router.db_for_write(WorkerInstance), owner, instance), time.monotonic()
    with _lock:
        before, said = _seen_at.get(key, (float("-inf"), None))
        is_news = about is not None and about != said
        if not is_news and now - before < limits().worker_seen_seconds:
            return False
        if len(_seen_at) >= _REMEMBERED_MAX:
            _seen_at.clear()
        _seen_at[key] = now, about if is_news else said
    return True


def _checked_about(about: Any) -> Any:
    if about is None:
        return None
    try:
        size = len(canonical(about).encode())
    except InvalidResult as error:
        raise InvalidInput(f"about: {error}") from error
    if not isinstance(about, dict) or size > limits().worker_about_bytes_max:
        raise InvalidInput(
            f"about: expected an object of at most {limits().worker_about_bytes_max} bytes"
        )
    return about


def _write(owner: int, instance: str, about: Any) -> None:
    changes = {"last_seen_at": clock.now()} | ({} if about is None else {"about": about})
    if _rows().filter(owner=owner, instance=instance).update(**changes):
        return
    row = WorkerInstance(
        owner=owner,
        instance=instance,
        about=about or {},
        first_seen_at=clock.now(),
        last_seen_at=clock.now(),
    )
    _rows().bulk_create([row], ignore_conflicts=True)
