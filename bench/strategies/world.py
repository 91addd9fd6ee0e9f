"""The tables and statements that all strategies but joblot share, through Django's connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from bench.strategies.shape import Batch, Strategy

TABLES = """
CREATE TABLE arena_job (
    id int PRIMARY KEY,
    total int NOT NULL,
    status text NOT NULL DEFAULT 'STARTED',
    done int NOT NULL DEFAULT 0,
    progress jsonb NOT NULL DEFAULT '{"processed": 0}'
);
CREATE TABLE arena_event (job int NOT NULL);
CREATE TABLE arena_result (LIKE joblot_outcome INCLUDING ALL);
CREATE TABLE arena_item (job int, number int, done bool NOT NULL DEFAULT false,
    PRIMARY KEY (job, number));
CREATE INDEX arena_item_open ON arena_item (job) WHERE NOT done;
CREATE TABLE arena_open (job int, number int, PRIMARY KEY (job, number));
CREATE TABLE arena_delta (id bigserial PRIMARY KEY, job int NOT NULL, n int NOT NULL);
"""
NAMES = "arena_job, arena_event, arena_result, arena_item, arena_open, arena_delta"

_ROWS = """
INSERT INTO arena_result (
    job_id, stage, number, run, state, hash, output, lease_token, settled_at
)
SELECT %(job)s, 0, p.number, 1, 1, decode(p.hash, 'hex'), p.output, %(token)s,
       statement_timestamp()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (number int, hash text, output jsonb)
"""
BARE = _ROWS
SAVE = f"{_ROWS} ORDER BY p.number ON CONFLICT DO NOTHING RETURNING 1"

# Ends the job once: the row count of the update says who has won, and only that one announces it.
FINISH = """
WITH won AS (
    UPDATE arena_job SET status = 'SUCCESS' WHERE id = %(job)s AND status = 'STARTED' {unless}
    RETURNING id
)
INSERT INTO arena_event (job) SELECT id FROM won
"""

LAG = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(e.xmin)) - (
    SELECT max(pg_xact_commit_timestamp(r.xmin)) FROM arena_result r WHERE r.job_id = %(job)s
))
FROM arena_event e WHERE e.job = %(job)s
"""

LOAD = "SELECT status, done, progress::text FROM arena_job WHERE id = %(job)s"
STALE_SAVE = """
UPDATE arena_job SET status = %(status)s, done = %(done)s, progress = %(progress)s
WHERE id = %(job)s
"""

_TOKEN = UUID(int=0)
_HASH = "00" * 32


def alias() -> str:
    """The database of joblot, so that all use the same connection and the same settings."""
    from joblot.ledger.db import transactions

    return transactions.alias()


def run(sql: str, **given: Any) -> list[tuple[Any, ...]]:
    with connections[alias()].cursor() as cursor:
        cursor.execute(sql, given or None)
        return cursor.fetchall() if cursor.description else []


def one(sql: str, **given: Any) -> Any:
    ((value,),) = run(sql, **given)
    return value


def together() -> AbstractContextManager[Any]:
    """One transaction."""
    return transaction.atomic(using=alias())


def create_tables() -> None:
    run(TABLES)


def drop_tables() -> None:
    run(f"DROP TABLE IF EXISTS {NAMES}")


def empty_tables() -> None:
    run(f"TRUNCATE {NAMES}")


def given(batch: Batch) -> dict[str, Any]:
    """The parameters of the rows of a batch."""
    rows = [{"number": n, "hash": _HASH, "output": {"label": n}} for n in batch.numbers]
    return {"job": batch.job, "rows": json.dumps(rows), "token": _TOKEN}


def save(batch: Batch) -> int:
    """Save the rows of a batch; returns how many were new."""
    return len(run(SAVE, **given(batch)))


def finish(job: int, unless: str = "") -> None:
    run(FINISH.format(unless=unless), job=job)


class Arena(Strategy):
    """What the strategies on the shared tables have in common."""

    needs_redis = False
    one_process = False
    every = 0.1

    def setup(self, sizes: Sequence[int], batches: Sequence[Batch]) -> None:
        for job, total in enumerate(sizes):
            run("INSERT INTO arena_job (id, total) VALUES (%(job)s, %(total)s)",
                job=job, total=total)  # fmt: skip

    def background(self) -> Callable[[], None] | None:
        return None

    def finished(self, job: int) -> bool:
        return self.status(job) == "SUCCESS"

    def status(self, job: int) -> str:
        return str(one("SELECT status FROM arena_job WHERE id = %(job)s", job=job))

    def cancel(self, job: int) -> None:
        run("UPDATE arena_job SET status = 'REVOKED' WHERE id = %(job)s", job=job)

    def stale_save(self, job: int) -> Callable[[], None]:
        """Load the row now, as an ORM does; the result saves it as it was."""
        status, done, progress = run(LOAD, job=job)[0]

        def save() -> None:
            run(STALE_SAVE, job=job, status=status, done=done, progress=progress)

        return save

    def finals(self, job: int) -> int:
        return int(one("SELECT count(*) FROM arena_event WHERE job = %(job)s", job=job))

    def lag(self, job: int) -> float | None:
        seconds = one(LAG, job=job)
        return None if seconds is None else float(seconds)
