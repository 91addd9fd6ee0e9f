"""The removal of unreferenced files: retried until the storage has removed them.

The sweep marks a file, and from then on nothing may refer to it. A try to remove it is claimed in a
transaction that also records when the next one is due, so nothing has to be written if the process
dies. Removing a file twice does no harm: its name is never reused.

Nothing in this process can end a storage that hangs: `joblot.delivery` runs this code in a process
that can be killed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from joblot import clock, faults
from joblot.config import limits
from joblot.errors import Unavailable
from joblot.ledger.db.transactions import alias, connection, durable, repeated, require_durable
from joblot.ledger.rows import outputs
from joblot.ledger.rows.error_text import error_text
from joblot.models import StoredOutput

logger = logging.getLogger("joblot.ledger")


@dataclass(frozen=True, slots=True)
class Removal:
    """A claimed try. `tries` is its number, and the fence for what is written about its failure."""

    name: str
    tries: int
    seconds_max: float
    retry_seconds: float  # until the next try, unless this one succeeds

    def __str__(self) -> str:
        return f"removal of {self.name}, try {self.tries}"


Watch = Callable[[Removal], AbstractContextManager[Any]]


def remove_files(watch: Watch = nullcontext) -> int:
    """Remove the marked files that are due, oldest first; returns how many.

    Calls the storage in this thread: `watch` is entered around each call. Stops at the first
    failure, which is put off. Raises Unavailable.
    """
    require_durable(connection())
    removed = 0
    while any_due() and (removal := _claim()) is not None and _remove(removal, watch):
        removed += 1
    return removed


def remove_files_until(
    stop: threading.Event, watch: Watch = nullcontext, *, idle_seconds_max: float
) -> None:
    """Remove files until `stop` is set or none was due for `idle_seconds_max`; retries failures."""
    idle = 0.0
    while not stop.is_set() and idle < idle_seconds_max:
        try:
            while not stop.is_set() and any_due() and (removal := _claim()) is not None:
                idle = 0.0
                if not _remove(removal, watch):
                    break
        except Unavailable as error:
            logger.warning("removal of files: %s", error)
        except Exception:
            logger.exception("removal of files failed; it continues in the next round")
        idle += limits().handler_poll_seconds
        stop.wait(limits().handler_poll_seconds)
    connection().close()


@repeated
def any_due() -> bool:
    """Whether a file waits to be removed now. Raises Unavailable."""
    return bool(_due().exists())


def _due() -> Any:
    return StoredOutput.ledger.using(alias()).filter(next_try_at__lte=clock.now())


@repeated
def _claim() -> Removal | None:
    """Begin a try. Skips rows that another process has locked."""
    seconds = limits().output_removal_seconds_max
    wait = seconds + limits().output_removal_retry_seconds
    with durable():
        due = _due().order_by("next_try_at").select_for_update(skip_locked=True)
        row: StoredOutput | None = due.first()
        if row is None:
            return None
        _rows(row.name).update(
            tries=row.tries + 1, started_at=clock.now(), next_try_at=clock.after(wait)
        )
    return Removal(row.name, row.tries + 1, seconds, wait)


def _remove(removal: Removal, watch: Watch) -> bool:
    """Have the storage remove the file; False if it failed and will be retried."""
    faults.point("outputs: claimed, not removed")
    wait = limits().output_removal_retry_seconds
    try:
        with watch(removal):
            outputs.remove(removal.name)
    except Exception as error:
        logger.exception("%s failed; the next one is in %g s", removal, wait)
        _put_off_if_mine(removal, error, wait)
        return False
    faults.point("outputs: removed, not forgotten")
    _forget(removal.name)
    return True


@repeated
def _put_off_if_mine(removal: Removal, error: Exception, wait: float) -> None:
    mine = _rows(removal.name).filter(tries=removal.tries)
    mine.update(started_at=None, next_try_at=clock.after(wait), error=error_text(error))


@repeated
def _forget(name: str) -> None:
    with durable():
        _rows(name).delete()


def _rows(name: str) -> Any:
    """The row of a marked file."""
    return outputs.marked().filter(name=name)
