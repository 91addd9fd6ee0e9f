"""The pictures that this process has built, for everyone who looks at them.

A picture costs work per item, so it is built only when someone asks for it, and no more than a
twentieth of the time is spent on those of one job (`picture_rest_factor_min`). Until then viewers
get the last one, which says of when it is.
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


class _State(NamedTuple):
    """The last pictures of the same items with their bytes, the newest last; by the tag of another
    one, what has changed since.
    """

    versions: tuple[tuple[Picture, bytes], ...]
    changes: dict[str, bytes | None]


@dataclass(slots=True)
class _Kept:
    """What is kept of the same items; `state` is replaced as a whole."""

    building: Lock = field(default_factory=Lock)
    state: _State = field(default_factory=lambda: _State((), {}))
    due_at: float = 0.0  # on the clock of time.monotonic

    @property
    def is_due(self) -> bool:
        return not self.state.versions or time.monotonic() >= self.due_at

    @property
    def size(self) -> int:
        return _ENTRY_BYTES + sum(len(one.cells) + len(body) for one, body in self.state.versions)


class Pictures:
    """Threads: `_kept` changes under `_lock`. The state of one entry is replaced by the thread that
    holds `building`; the others get the one before, or wait if there is none. What has changed may
    be computed twice, with the same result.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, Shown], _Kept] = OrderedDict()

    def latest(self, shown: Shown) -> tuple[Picture, bytes]:
        """The picture, a new one if that is due, and its bytes. Raises NotFound, InvalidInput."""
        return self._up_to_date(shown).versions[-1]

    def changes(self, shown: Shown, base: str) -> tuple[Picture, bytes]:
        """The picture as what has changed since the one tagged `base`; whole if that is unknown or
        differs by more than `picture_changes_max` runs.
        """
        versions, changes = self._up_to_date(shown)
        newest, body = versions[-1]
        known = next((one for one, _ in versions if one.tag == base), None)
        if known is None:
            return newest, body
        if base not in changes:
            changes[base] = picture_format.changes(known, newest, limits().picture_changes_max)
        short = changes[base]
        return newest, body if short is None or len(short) > len(body) else short

    def _up_to_date(self, shown: Shown) -> _State:
        kept = self._versions_of(shown)
        if kept.is_due and kept.building.acquire(blocking=not kept.state.versions):
            try:
                if kept.is_due:
                    self._build(shown, kept)
            except JoblotError:
                self._drop(shown, kept)
                raise
            finally:
                kept.building.release()
        return kept.state

    def _versions_of(self, shown: Shown) -> _Kept:
        with self._lock:
            kept = self._kept.setdefault((alias(), shown), _Kept())
            self._kept.move_to_end((alias(), shown))
            return kept

    def _drop(self, shown: Shown, kept: _Kept) -> None:
        """Keep nothing of what can't be shown."""
        with self._lock:
            if not kept.state.versions:
                self._kept.pop((alias(), shown), None)

    def _build(self, shown: Shown, kept: _Kept) -> None:
        began = time.monotonic()
        known = kept.state.versions[-1][0] if kept.state.versions else None
        new = picture(
            shown.job_id, stage=shown.stage, first=shown.first, last=shown.last, known=known
        )
        before = [(one, body) for one, body in kept.state.versions if one.tag != new.tag]
        versions = (*before[1 - VERSIONS_MAX :], (new, picture_format.whole(new)))
        kept.state = _State(versions, {})
        # The first one reads everything, so it says nothing of what the next will cost.
        took = 0.0 if known is None else time.monotonic() - began
        rest = max(limits().picture_seconds_min, limits().picture_rest_factor_min * took)
        kept.due_at = time.monotonic() + rest
        self._forget(kept)

    def _forget(self, newest: _Kept) -> None:
        """Keep within the limit: others go first, those unused for the longest time before all."""
        most = limits().picture_cache_bytes_max
        with self._lock:
            while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > most:
                self._kept.popitem(last=False)
        while len(newest.state.versions) > 1 and newest.size > most:
            newest.state = _State(newest.state.versions[1:], {})


# Threads: see the class.
PICTURES = Pictures()
