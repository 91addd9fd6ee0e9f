"""Django's PostgreSQL back-end with a timeout for servers that stop responding.

TCP's own timeouts end a connection whose packets get lost. They don't if an intermediary (a pooler,
a load balancer, a tunnel) accepts data and forwards nothing: the client would then wait forever,
and so would everything that waits for the client.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from types import ModuleType
from typing import Any, Self

import psycopg
from django.db.backends.postgresql import base

Waiting = Generator[Any, Any, Any]

REFUSED_BY_POOLER = "unsupported startup parameter"
POOLER = (
    "PgBouncer refuses the session options of joblot: add pgbouncer=true to the query of the "
    "database's URL (in a Django project, leave OPTIONS['options'] out)"
)

# Threads: one number, replaced by one assignment.
_silent_at = float("-inf")  # when this process last gave up a connection


class _Connection(psycopg.Connection[Any]):
    """A connection that waits for at most `silence_seconds_max`."""

    silence_seconds_max = float("inf")

    @classmethod
    def connect(cls, *args: Any, **given: Any) -> Self:
        silence_seconds_max = given.pop("silence_seconds_max", float("inf"))
        connection = super().connect(*args, **given)
        connection.silence_seconds_max = silence_seconds_max
        return connection

    def wait(self, gen: Waiting, *args: Any, **kwargs: Any) -> Any:
        return super().wait(self._impatient(gen), *args, **kwargs)

    def _impatient(self, gen: Waiting) -> Waiting:
        """Run the same steps in order; psycopg resumes them at least ten times a second."""
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
            f"the server sent nothing for {self.silence_seconds_max:g} s"
        )


def _driver() -> ModuleType:
    """psycopg as Django uses it, except that it connects with our class."""
    driver = ModuleType(psycopg.__name__)
    vars(driver).update(vars(psycopg), connect=_Connection.connect)
    return driver


class DatabaseWrapper(base.DatabaseWrapper):
    """If the server sends nothing for `OPTIONS["silence_seconds_max"]`, the statement raises
    OperationalError and its connection is closed. Without the option it waits, as in Django.

    It must exceed `statement_timeout`: for that long, a healthy server may send nothing.
    """

    Database = _driver()

    _made_at = float("-inf")

    def __init__(self, settings_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if pool := settings_dict["OPTIONS"].get("pool"):
            given = {} if pool is True else pool
            pool = {"connection_class": _Connection, **given}
            settings_dict = {**settings_dict, "OPTIONS": {**settings_dict["OPTIONS"], "pool": pool}}
        super().__init__(settings_dict, *args, **kwargs)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        made_at = time.monotonic()
        try:
            connection = super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            if REFUSED_BY_POOLER in str(error):
                raise psycopg.OperationalError(POOLER) from error
            raise
        self._made_at = made_at
        return connection

    def close_if_unusable_or_obsolete(self) -> None:
        """Runs before each request: if one connection went silent, so did all older ones."""
        if self._made_at < _silent_at and not self.in_atomic_block:
            self.close()
        super().close_if_unusable_or_obsolete()
