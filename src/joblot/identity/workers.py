"""Workers: a token and the instance id that a worker sends, and when each was last seen.

This is a hint for people: it is written separately from the work, at most every
`worker_seen_seconds` for each worker, and a failure to write it is harmless.
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
from joblot.ledger.db.transactions import one_snapshot, repeated
from joblot.ledger.rows.names import checked_name
from joblot.models import WorkerInstance
from joblot.wire import canonical

logger = logging.getLogger("joblot.identity")

_REMEMBERED_MAX = 100_000

_lock = threading.Lock()
# Threads: read and changed under the lock only.
_seen_at: dict[tuple[str, int, str], tuple[float, Any]] = {}  # and its `about`


def seen(owner: int, instance: str, about: Any = None) -> None:
    """Record that this worker made a request; `about`, a JSON object, is its own description."""
    checked_name(instance, "Joblot-Worker")
    about = _checked_about(about)
    if not _is_due(owner, instance, about):
        return
    try:
        _write(owner, instance, about)
    except DatabaseError as error:
        logger.warning("worker %s was seen, but that could not be recorded: %s", instance, error)


@repeated
@one_snapshot()
def workers(owner: int | None = None) -> list[dict[str, Any]]:
    """All workers ever seen, last seen first; `online`: seen within `worker_offline_seconds`."""
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
    """Nor far in the future, where a clock that was ahead may have put it."""
    seconds = limits().worker_offline_seconds
    return Q(last_seen_at__gt=clock.after(-seconds), last_seen_at__lt=clock.after(seconds))


def _rows() -> Any:
    return WorkerInstance.objects.using(router.db_for_write(WorkerInstance))


def _is_due(owner: int, instance: str, about: Any) -> bool:
    """True once every `worker_seen_seconds` for each worker, and when its `about` changes."""
    key, now = (router.db_for_write(WorkerInstance), owner, instance), time.monotonic()
    with _lock:
        before, known = _seen_at.get(key, (float("-inf"), None))
        is_news = about is not None and about != known
        if not is_news and now - before < limits().worker_seen_seconds:
            return False
        if len(_seen_at) >= _REMEMBERED_MAX:
            _seen_at.clear()
        _seen_at[key] = now, about if is_news else known
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
