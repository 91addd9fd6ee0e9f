"""Progress by way of Redis: of all readers of a job, one at a time reads the ledger.

A copy says which snapshot it is of, and an older one does not replace a newer one. Whatever goes
wrong with Redis (it is away, slow, flushed, or holds something else), the ledger is read instead.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import redis

from joblot.errors import NotFound
from joblot.ledger.read.progress import progress as read_ledger

logger = logging.getLogger("joblot.redis")

T = TypeVar("T")
Progress = dict[str, Any]

_PUT_IF_NEWER = (Path(__file__).parent / "put_if_newer.lua").read_text(encoding="utf-8")


class Mirror:
    """Reads jobs' progress through Redis at `url`; any thread may use it.

    An answer is at most about `fresh_seconds` old. A copy that nobody has asked for is removed
    after `kept_seconds`. A call of Redis takes at most `call_seconds_max`; after one has failed,
    Redis is not asked for `away_seconds`. All keys begin with `prefix`.
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
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=call_seconds_max,
            socket_connect_timeout=call_seconds_max,
            retry=None,
        )
        self._put = self._redis.register_script(_PUT_IF_NEWER)
        self._fresh, self._kept = fresh_seconds, kept_seconds
        self._away_seconds, self._prefix = away_seconds, prefix
        self._away_until = 0.0  # Threads: each may set it; a lost write costs one more try

    def progress(self, job_id: int) -> Progress:
        """As `joblot.progress`, with the same errors; `as_of` says when the ledger was read."""
        key = f"{self._prefix}progress:{job_id}"
        copy, is_mine = self._asked(lambda: self._copy(key)) or (None, True)
        if copy is not None and not is_mine and copy.get("id") == job_id:
            return copy
        try:
            state = read_ledger(job_id)
        except NotFound:
            self._asked(lambda: self._redis.delete(key))
            raise
        self._asked(lambda: self._keep(key, state))
        return state

    def follow(self, job_id: int) -> Iterator[Progress]:
        """Its progress each time that it has changed, until it has ended. Raises as `progress`."""
        last: Progress | None = None
        while True:
            state = self.progress(job_id)
            if last is None or _without_time(state) != _without_time(last):
                yield state
                last = state
            if state["finished_at"] is not None and not state["finishing"]:
                return
            time.sleep(self._fresh)

    def _copy(self, key: str) -> tuple[Progress | None, bool]:
        """The copy, and whether this reader is the one to read the ledger.

        The right to do so lasts `fresh_seconds`: if its holder dies, another reader gets it.
        """
        with self._redis.pipeline(transaction=False) as both:
            both.hget(key, "body")
            both.set(f"{key}:read", 1, nx=True, px=_milliseconds(self._fresh))
            body, mine = both.execute()
        try:
            copy = json.loads(body) if body is not None else None
        except ValueError:
            copy = None
        return (copy, bool(mine)) if isinstance(copy, dict) else (None, True)

    def _keep(self, key: str, state: Progress) -> None:
        at = round(datetime.fromisoformat(state["as_of"]).timestamp() * 1e6)
        self._put(keys=[key], args=[at, json.dumps(state), _milliseconds(self._kept)])

    def _asked(self, call: Callable[[], T]) -> T | None:
        """What Redis answers; None if it does not answer, or was away a moment ago."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + self._away_seconds
            logger.warning("Redis is not used for %s s: %s", self._away_seconds, error)
            return None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _without_time(state: Progress) -> Progress:
    return {name: value for name, value in state.items() if name not in ("as_of", "eta")}
