"""Which of the items that failed or were lost are retried: by cause, by stage, by their keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from joblot.config import limits
from joblot.errors import InvalidInput, NotFound
from joblot.fingerprint import is_cause
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import alias, connection, repeated
from joblot.ledger.rows.items import FailedItem, count_of_cause, failed_for, items_by_key
from joblot.ledger.rows.job import read_job, stages_of
from joblot.models import Outcome
from joblot.shown import shown
from joblot.states import ItemState

_GIVEN_UP = frozenset({ItemState.FAILED, ItemState.LOST})


@dataclass(frozen=True, slots=True)
class Selection:
    """Each part narrows it; without any, it is all that failed or was lost.

    `stage` is a position, `numbers` are those of the keys.
    """

    cause: str | None = None
    stage: int | None = None
    numbers: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        job_id: int,
        *,
        cause: str | None,
        stage: str | None,
        keys: Collection[str] | None,
        failed: bool,
    ) -> Self | None:
        """From the arguments of a retry; None if they select nothing in particular.

        Raises InvalidInput; NotFound for a key that is not the job's.
        """
        if cause is None and stage is None and keys is None and not failed:
            return None
        if cause is not None and not is_cause(cause):
            raise InvalidInput(f"cause: expected 16 hexadecimal digits, got {shown(cause)}")
        position = None if stage is None else _position(job_id, stage)
        return cls(cause, position, None if keys is None else _numbers(job_id, keys))

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> Self | None:
        """From the keys of `as_json`, among others; None without any of them."""
        if not data.keys() & {"cause", "of_stage", "numbers", "failed"}:
            return None
        numbers = data.get("numbers")
        return cls(
            data.get("cause"), data.get("of_stage"), None if numbers is None else tuple(numbers)
        )

    def as_json(self) -> dict[str, Any]:
        """What narrows it, or that nothing does."""
        numbers = None if self.numbers is None else list(self.numbers)
        parts = {"cause": self.cause, "of_stage": self.stage, "numbers": numbers}
        return {n: value for n, value in parts.items() if value is not None} or {"failed": True}

    def failed(self, job_id: int, after: int, limit: int) -> tuple[list[FailedItem], int | None]:
        """Items that it selects behind the number `after`, and the `after` of the next ones.

        At most `limit` items are examined. None if there are no more.
        """
        if self.numbers is not None:
            found = self._by_number(job_id, after, limit)
        elif self.cause is not None:
            found = failed_for(job_id, self.cause, after=after, limit=limit)
        else:
            asked = {"job": job_id, "after": after, "limit": limit}
            found = [FailedItem(*row) for row in fetch(connection(), "rows/failed_items", **asked)]
        last = found[-1].number if len(found) >= limit else None
        return [one for one in found if self.stage in (None, one.stage)], last

    def count(self, job_id: int) -> int:
        """How many items it selects now."""
        if self.cause is not None and (self.stage, self.numbers) == (None, None):
            return count_of_cause(job_id, self.cause)
        items, after = 0, -1
        while True:
            found, following = self.failed(job_id, after, limits().page_probe_items)
            items += len(found)
            if following is None:
                return items
            after = following

    def _by_number(self, job_id: int, after: int, limit: int) -> list[FailedItem]:
        numbers = [number for number in self.numbers or () if number > after]
        stages = [stage.position for stage in stages_of(job_id)]
        mine = Outcome.ledger.using(alias()).filter(
            job_id=job_id, stage__in=stages, number__in=numbers
        )
        rows = mine.order_by("number", "stage").values_list(
            "number", "stage", "state", "error_cause"
        )
        found = [
            FailedItem(number, stage, state)
            for number, stage, state, cause in rows
            if state in _GIVEN_UP and self.cause in (None, cause)
        ]
        return found[:limit]


@repeated
def _position(job_id: int, stage: str) -> int:
    names = [one.name for one in stages_of(read_job(job_id).pk)]
    if stage not in names:
        raise InvalidInput(f"stage: expected one of {', '.join(names)}, got {shown(stage)}")
    return names.index(stage)


@repeated
def _numbers(job_id: int, keys: Collection[str]) -> tuple[int, ...]:
    wanted, most = set(keys), limits().retry_keys_max
    if isinstance(keys, str) or not all(isinstance(key, str) for key in wanted):
        raise InvalidInput("keys: expected a list of texts")
    if not wanted or len(wanted) > most:
        raise InvalidInput(f"keys: expected 1 to {most:,} of them, got {len(wanted):,}")
    found = items_by_key(read_job(job_id).pk, wanted)
    if missing := sorted(wanted - {item.key for item in found}):
        raise NotFound(f"job {job_id} has no item with the key {shown(missing[0])}")
    return tuple(item.number for item in found)
