"""The pictures that this process has built, for everyone who looks at them.

A picture costs work per item, so it is built only when someone asks for it, and no more than a
twentieth of the time is spent on those of one job (`picture_rest_factor`). Until then viewers get
the last one, which says of when it is.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from joblot.config import limits
from joblot.errors import JoblotError
from joblot.ledger.db.transactions import alias
from joblot.ledger.read import picture_format
from joblot.ledger.read.picture import Picture, picture

VERSIONS_MAX = 8  # of the same items, as a base for what has changed since
_ENTRY_BYTES = 1_024  # about; besides the pictures themselves


class Shown(NamedTuple):
    """Which items of a job, or of a stage, a picture shows."""

    job_id: int
    stage: str | None = None
    first: int = 0
    last: int | None = None


@dataclass(slots=True)
class _Versions:
    """The last pictures of the same items, the newest last, each with its bytes."""

    building: Lock = field(default_factory=Lock)
    all: tuple[tuple[Picture, bytes], ...] = ()
    due_at: float = 0.0  # on the clock of time.monotonic

    @property
    def is_due(self) -> bool:
        return not self.all or time.monotonic() >= self.due_at

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + sum(len(one.cells) + len(body) for one, body in self.all)


class Pictures:
    """Threads: `_kept` changes under `_lock`. The versions of one entry are a tuple that the thread
    which holds `building` replaces; the others get the ones before, or wait if there are none.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, Shown], _Versions] = OrderedDict()

    def latest(self, shown: Shown) -> tuple[Picture, bytes]:
        """The picture, a new one if that is due, and its bytes. Raises NotFound, InvalidInput."""
        return self._up_to_date(shown)[-1]

    def changes(self, shown: Shown, base: str) -> tuple[Picture, bytes]:
        """The picture as what has changed since the one tagged `base`; whole if that is unknown or
        differs by more than `picture_changes_max` runs.
        """
        versions = self._up_to_date(shown)
        newest, body = versions[-1]
        known = next((one for one, _ in versions if one.tag == base), None)
        if known is None:
            return newest, body
        short = picture_format.changes(known, newest, limits().picture_changes_max)
        return newest, body if short is None or len(short) > len(body) else short

    def _up_to_date(self, shown: Shown) -> tuple[tuple[Picture, bytes], ...]:
        kept = self._versions_of(shown)
        if kept.is_due and kept.building.acquire(blocking=not kept.all):
            try:
                if kept.is_due:
                    self._build(shown, kept)
            except JoblotError:
                self._drop(shown, kept)
                raise
            finally:
                kept.building.release()
        return kept.all

    def _versions_of(self, shown: Shown) -> _Versions:
        with self._lock:
            kept = self._kept.setdefault((alias(), shown), _Versions())
            self._kept.move_to_end((alias(), shown))
            return kept

    def _drop(self, shown: Shown, kept: _Versions) -> None:
        """Keep nothing of what can't be shown."""
        with self._lock:
            if not kept.all:
                self._kept.pop((alias(), shown), None)

    def _build(self, shown: Shown, kept: _Versions) -> None:
        began = time.monotonic()
        known = kept.all[-1][0] if kept.all else None
        new = picture(
            shown.job_id, stage=shown.stage, first=shown.first, last=shown.last, known=known
        )
        before = [(one, body) for one, body in kept.all if one.tag != new.tag]
        kept.all = (*before[1 - VERSIONS_MAX :], (new, picture_format.whole(new)))
        # The first one reads everything, so it says nothing of what the next will cost.
        took = 0.0 if known is None else time.monotonic() - began
        rest = max(limits().picture_seconds_min, limits().picture_rest_factor * took)
        kept.due_at = time.monotonic() + rest
        self._forget(kept)

    def _forget(self, newest: _Versions) -> None:
        """Keep within the limit: others go first, those unused for the longest time before all."""
        most = limits().picture_cache_bytes_max
        with self._lock:
            while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > most:
                self._kept.popitem(last=False)
        while len(newest.all) > 1 and newest.size > most:
            newest.all = newest.all[1:]


# Threads: see the class.
PICTURES = Pictures()
