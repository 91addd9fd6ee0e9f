"""Makes inserting items fail as in PostgreSQL: during a COPY, with rows in the message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

CONFLICT, LOCKED, DISK_FULL, NO_SUCH_CHARACTER = "40001", "55P03", "53100", "22P05"
SECRET = "a-payload-that-nobody-may-see"

MADE = """
CREATE SEQUENCE trouble;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('trouble') <= {times} THEN {action}; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trouble BEFORE INSERT ON joblot_item FOR EACH ROW EXECUTE FUNCTION trouble();
"""
GONE = "DROP TRIGGER trouble ON joblot_item; DROP FUNCTION trouble; DROP SEQUENCE trouble;"


def raising(sqlstate: str) -> str:
    return f"RAISE EXCEPTION 'trouble' USING ERRCODE = '{sqlstate}', DETAIL = NEW.payload::text"


KILLED = "PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(10)"
SLOW = "PERFORM pg_sleep(30)"


@contextmanager
def failing(action: str, times: int = 1_000_000) -> Iterator[None]:
    """Inside the block, inserting an item does `action` instead, the first `times` times."""
    _run(MADE.format(action=action, times=times))
    try:
        yield
    finally:
        _run(GONE)


def _run(script: str) -> None:
    with connections["postgres"].cursor() as cursor:
        cursor.execute(script)
