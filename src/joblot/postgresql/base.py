"""Django's PostgreSQL, but for a server that says nothing any more: its connection ends.

TCP's own timeouts end a link whose packets vanish. They don't where something between (a pooler,
a balancer, a tunnel) takes what is sent and hands nothing on: then the client waits for ever, and
with it whoever waits for the client.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg
from django.db.backends.postgresql import base

Waiting = Generator[Any, Any, Any]

# Threads: one number, replaced by one assignment.
_silent_at = float("-inf")  # when a connection of this process was last given up


class DatabaseWrapper(base.DatabaseWrapper):
    """`OPTIONS["silence_seconds_max"]`: after so long without a word from the server a statement
    raises OperationalError, and its connection is closed. Without it they wait, as Django's do.

    It must be longer than `statement_timeout`, while which a server that works may say nothing.
    """

    _silence_seconds_max = float("inf")
    _made_at = float("-inf")

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        self._silence_seconds_max = params.pop("silence_seconds_max", float("inf"))
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        made_at = time.monotonic()
        connection = super().get_new_connection(conn_params)
        connection.__class__ = _Connection  # Django lets nobody choose what it connects with
        connection.silence_seconds_max = self._silence_seconds_max
        self._made_at = made_at
        return connection

    def close_if_unusable_or_obsolete(self) -> None:
        """Before each request: if one connection went silent, those made before it have too."""
        if self._made_at < _silent_at and not self.in_atomic_block:
            self.close()
        super().close_if_unusable_or_obsolete()


class _Connection(psycopg.Connection[Any]):
    """One that does not wait for ever."""

    silence_seconds_max: float

    def wait(self, gen: Waiting, *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._impatient(gen), *args, **kwargs)

    def _impatient(self, gen: Waiting) -> Waiting:
        """The same steps, one after the other; psycopg takes them at least ten times a second."""
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > self.silence_seconds_max:
                    self._give_up()
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _give_up(self) -> None:
        global _silent_at  # noqa: PLW0603 (of the process)
        _silent_at = time.monotonic()
        self.close()
        raise psycopg.OperationalError(
            f"nothing came from the server for {self.silence_seconds_max:g} s"
        )
