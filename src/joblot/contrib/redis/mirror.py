"""Progress and events of jobs through Redis: one reader at a time reads the ledger for all others.

Each copy says of which snapshot it is, and an older one does not replace a newer one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from joblot.contrib.redis.copies import Copies, Copy
from joblot.errors import NotFound
from joblot.ledger.read.history import events as read_events
from joblot.ledger.read.progress import progress as read_progress

EVENTS_MAX = 500  # of a job, in a copy: the newest
PAGE_EVENTS = 100  # that are read at once

Progress = dict[str, Any]
Event = dict[str, Any]


class Mirror:
    """Reads jobs' progress and events through Redis at `url`; any thread may use it.

    An answer is at most about `fresh_seconds` old. A copy that nobody has asked for is removed
    after `kept_seconds`. A call of Redis takes at most `call_seconds_max`; after one has failed,
    Redis is not used for `away_seconds`. All keys begin with `prefix`.
    """

    def __init__(
        self,
        url: str,
        *,
        fresh_seconds: float = 1.0,
        kept_seconds: float = 30.0,
        call_seconds_max: float = 0.1,
        away_seconds: float = 1.0,
        prefix: str = "joblot:",
    ) -> None:
        self._copies = Copies(
            url, call_seconds_max=call_seconds_max, away_seconds=away_seconds, prefix=prefix
        )
        self._fresh, self._kept = fresh_seconds, kept_seconds

    def progress(self, job_id: int) -> Progress:
        """As `joblot.progress`, with the same errors; `as_of` says when the ledger was read."""
        name = f"progress:{job_id}"
        copy, is_mine = self._copies.read(name, self._fresh)
        if copy is not None and not is_mine and copy.get("id") == job_id:
            return copy
        try:
            state = read_progress(job_id)
        except NotFound:
            self._copies.delete(name)
            raise
        at = round(datetime.fromisoformat(state["as_of"]).timestamp() * 1e6)
        self._copies.write(name, at, state, self._kept)
        return state

    def follow(self, job_id: int) -> Iterator[Progress]:
        """Its progress each time that it has changed, until it has ended. Raises as `progress`."""
        last: Progress | None = None
        while True:
            state = self.progress(job_id)
            if last is None or _without_time(state) != _without_time(last):
                yield state
                last = state
            if _has_ended(state):
                return
            time.sleep(self._fresh)

    def events(self, job_id: int, *, after: int = 0) -> list[Event]:
        """As `joblot.events`: those after this id, or the first of them. Raises NotFound."""
        return self._events(job_id, after)[0]

    def follow_events(self, job_id: int, *, after: int = 0) -> Iterator[Event]:
        """Each event after this id, once and in order, until the job has ended. Raises NotFound."""
        while True:
            page, has_ended = self._events(job_id, after)
            yield from page
            if page:
                after = page[-1]["id"]
            elif has_ended:
                return
            else:
                time.sleep(self._fresh)

    def _events(self, job_id: int, after: int) -> tuple[list[Event], bool]:
        """Events after this id, and whether the job had ended before they were read."""
        name = f"events:{job_id}"
        copy, is_mine = self._copies.read(name, self._fresh)
        if self._copies.is_away:
            has_ended = _has_ended(read_progress(job_id))
            return read_events(job_id, after=after), has_ended
        if copy is None or not _has_events_of(job_id, copy):
            copy, is_mine = None, True
        if is_mine:
            try:
                copy = self._refreshed(job_id, copy)
            except NotFound:
                self._copies.delete(name)
                raise
            last = copy["events"][-1]["id"] if copy["events"] else 0
            self._copies.write(name, last, copy, copy["until"] - time.time())
        assert copy is not None
        if after < copy["after"]:
            return read_events(job_id, after=after), False
        return [event for event in copy["events"] if event["id"] > after], copy["ended"]

    def _refreshed(self, job_id: int, copy: Copy | None) -> Copy:
        """With the events since it was read. Once per `kept_seconds`, all are read again."""
        now = time.time()
        # The end is written together with its event, so what is read from now on has that event.
        has_ended = _has_ended(read_progress(job_id))
        if copy is None or not now < copy["until"] <= now + self._kept:
            copy = {"id": job_id, "until": now + self._kept, "after": 0, "events": []}
        known: list[Event] = list(copy["events"])
        while True:
            last = known[-1]["id"] if known else copy["after"]
            page = read_events(job_id, after=last, limit=PAGE_EVENTS)
            known += page
            if len(page) < PAGE_EVENTS:
                break
        cut = known[: max(0, len(known) - EVENTS_MAX)]
        after = cut[-1]["id"] if cut else copy["after"]
        return copy | {"after": after, "events": known[len(cut) :], "ended": has_ended}


def _has_events_of(job_id: int, copy: Copy) -> bool:
    """Whether it has the shape of `_refreshed`."""
    kinds = {"id": int, "until": float, "after": int, "events": list, "ended": bool}
    if not all(isinstance(copy.get(name), kind) for name, kind in kinds.items()):
        return False
    known = all(isinstance(one, dict) and isinstance(one.get("id"), int) for one in copy["events"])
    return known and copy["id"] == job_id


def _has_ended(state: Progress) -> bool:
    return state["finished_at"] is not None and not state["finishing"]


def _without_time(state: Progress) -> Progress:
    return {name: value for name, value in state.items() if name not in ("as_of", "eta")}
