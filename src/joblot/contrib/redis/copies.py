"""Copies of the ledger's answers in Redis, each with the right to refresh it.

Whatever goes wrong with Redis (it is away, slow, flushed, or holds something else), there is no
copy, and the caller reads the ledger.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis

logger = logging.getLogger("joblot.redis")

T = TypeVar("T")
Copy = dict[str, Any]

_PUT_IF_NEWER = (Path(__file__).parent / "put_if_newer.lua").read_text(encoding="utf-8")


class Copies:
    """In Redis at `url`; any thread may use them.

    A call of Redis takes at most `call_seconds_max`; after one has failed, Redis is not used for
    `away_seconds`. All keys begin with `prefix`.
    """

    def __init__(
        self, url: str, *, call_seconds_max: float, away_seconds: float, prefix: str
    ) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=call_seconds_max,
            socket_connect_timeout=call_seconds_max,
            retry=None,
        )
        self._put = self._redis.register_script(_PUT_IF_NEWER)
        self._away_seconds, self._prefix = away_seconds, prefix
        self._away_until = 0.0  # Threads: each may set it; a lost write costs one more try

    @property
    def is_away(self) -> bool:
        """Whether a call of Redis has failed a moment ago."""
        return time.monotonic() < self._away_until

    def read(self, name: str, fresh_seconds: float) -> tuple[Copy | None, bool]:
        """The copy, and whether this reader is the one to refresh it.

        The right to do so lasts `fresh_seconds`: if its holder dies, another reader gets it.
        """
        return self._try(lambda: self._read(self._prefix + name, fresh_seconds)) or (None, True)

    def write(self, name: str, version: int, copy: Copy, seconds: float) -> None:
        """Keep it for so long, unless there is a copy of a later version."""
        args: list[str | int] = [version, json.dumps(copy), _milliseconds(seconds)]
        self._try(lambda: self._put(keys=[self._prefix + name], args=args))

    def delete(self, name: str) -> None:
        self._try(lambda: self._redis.delete(self._prefix + name))

    def _read(self, key: str, fresh_seconds: float) -> tuple[Copy | None, bool]:
        with self._redis.pipeline(transaction=False) as both:
            both.hget(key, "body")
            both.set(f"{key}:read", 1, nx=True, px=_milliseconds(fresh_seconds))
            body, is_mine = both.execute()
        try:
            copy = json.loads(body) if body is not None else None
        except ValueError:
            copy = None
        return (copy, bool(is_mine)) if isinstance(copy, dict) else (None, True)

    def _try(self, call: Callable[[], T]) -> T | None:
        """The result; None if Redis does not answer, or has failed a moment ago."""
        if self.is_away:
            return None
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + self._away_seconds
            logger.warning("Redis is not used for %s s: %s", self._away_seconds, error)
            return None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
