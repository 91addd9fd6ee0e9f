"""Functions in PostgreSQL: a verb that needs several statements, in one round trip.

One per file beside its verb. `claim/claim_1` is `claim/claim_1.function.postgresql.sql`, and
`joblot_claim_1` in the database; a migration creates it. Every statement of a VOLATILE function has
a snapshot of its own, so what is read after a lock is as new as in separate statements.

A function that was released never changes: a new version has another number and another migration,
and the old one is dropped a release later. So old and new processes run side by side in an upgrade.

Functions that find items by number have `SET jit = off`. The estimate of such a statement grows
with the job; above `jit_above_cost` PostgreSQL would compile it at each call, to read few rows.

A file holds `{NAME}` placeholders as other statements do; for `{now}` the function has an argument
`clock`, the time set by a test or null. Before each statement that reads or writes a table stands a
comment `-- step: NAME`, where the explorer of orders stops.
"""

from __future__ import annotations

from importlib.resources import files

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.base import SLOTS
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import filled

_SLOT = f"(pg_backend_pid() % {SLOTS} + 1)"
_NOW = "COALESCE(clock, statement_timestamp())"
_MISSING = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regproc(name) IS NULL"

# That this version calls; one that another calls comes first.
NAMES = (
    "claim/window_1",
    "claim/rate_1",
    "claim/pipeline_limit_1",
    "claim/claim_1",
    "report/settle_1",
    "report/hook_input_1",
    "report/count_1",
    "report/may_be_due_1",
    "report/due_after_commit_1",
    "report/report_1",
    "claim/report_and_claim_1",
    "claim/claim_together_1",
    "job/cancel_1",
)


def called(name: str) -> str:
    """Its name in the database."""
    return f"joblot_{name.rpartition('/')[2]}"


def source(name: str) -> str:
    """The statement that creates the function, without the header of its file."""
    return "\n".join(_lines(name)[len(_header(name)) :])


def creation(name: str) -> list[str]:
    """The statements that create the function. Its header is stored as its comment."""
    about = "\n".join(line.removeprefix("--").strip() for line in _header(name))
    quoted = about.replace("'", "''")
    return [source(name), f"COMMENT ON ROUTINE {called(name)} IS '{quoted}'"]


def removal(name: str) -> str:
    return f"DROP ROUTINE IF EXISTS {called(name)}"


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Which of the functions that this version calls are not in the database."""
    if not dialect_of(connection).has_functions:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, [[called(name) for name in NAMES]])
        return [name for (name,) in cursor.fetchall()]


def _header(name: str) -> list[str]:
    lines = _lines(name)
    ends = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return lines[:ends]


def _lines(name: str) -> list[str]:
    file = files("joblot.ledger") / f"{name}.function.postgresql.sql"
    text = file.read_text(encoding="utf-8")
    return filled(text, "postgresql", now=_NOW, slot=_SLOT).splitlines()
