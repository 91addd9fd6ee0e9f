"""Stops inside PL/pgSQL functions, at comments `-- step: NAME` in their source.

`with_steps` replaces each by a call that waits until the operation may go on. An operation's server
process counts its steps in a sequence, which no rollback turns back. At step n it reports n, and
the code up to the next step, in a notice, which reaches the client at once. Then it waits for lock
n % 2, which the explorer holds. To let it go on, the explorer takes the other lock, which is free
by now, and releases this one.
"""

from __future__ import annotations

import re
from typing import Any

MARK = re.compile(r"^[ \t]*-- step: .+\n", re.MULTILINE)
RETURN = "RETURN"  # the code of a step that touches nothing

_STEP_FUNCTION = """
CREATE OR REPLACE FUNCTION interleave_step(code text) RETURNS void LANGUAGE plpgsql AS $step$
DECLARE
    number bigint;
BEGIN
    IF COALESCE(current_setting('interleave.steps', true), '') <> 'on' THEN
        RETURN;
    END IF;
    number := nextval('pg_temp.interleave_steps');
    RAISE NOTICE USING MESSAGE = 'interleave ' || number || ' ' || code;
    PERFORM pg_advisory_lock(pg_backend_pid(), mod(number, 2)::int);
    PERFORM pg_advisory_unlock(pg_backend_pid(), mod(number, 2)::int);
END $step$
"""
DROP_STEP_FUNCTION = "DROP FUNCTION IF EXISTS interleave_step(text)"

COUNTED = "CREATE TEMP SEQUENCE interleave_steps"
SWITCHED_ON = "SET interleave.steps = 'on'"
SWITCHED_OFF = "RESET interleave.steps; DROP SEQUENCE pg_temp.interleave_steps"
NOTICE = re.compile(r"interleave (\d+) (.*)", re.DOTALL)

STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*((?:SELECT|PERFORM|WITH|INSERT|UPDATE|DELETE|COMMIT)\b[^;]*);"
)
INTO = re.compile(r"(?<!INSERT )\bINTO\s+(?:STRICT\s+)?[\w.]+(?:\s*,\s*[\w.]+)*")
MORE = re.compile(r"\b(?:SELECT|PERFORM|WITH|INSERT|UPDATE|DELETE|MERGE|EXECUTE|CALL|FROM)\b")


def step_function() -> str:
    """The statement that creates the function that the steps call, in a test's database.

    On connections that no explorer watches it does nothing.
    """
    return _STEP_FUNCTION


def with_steps(source: str) -> str:
    """The source of a function with a stop at each `-- step: NAME`.

    Put one before each statement that reads, changes or locks a table. Raises ValueError if there
    is none.
    """
    marks = list(MARK.finditer(source))
    if not marks:
        raise ValueError("expected comments `-- step: NAME` in the function, found none")
    ends = [*(mark.start() for mark in marks[1:]), len(source)]
    parts = [source[: marks[0].start()]]
    for mark, end in zip(marks, ends, strict=True):
        code = f"{mark[0].strip()}\n{as_sql(source[mark.end() : end])}"
        parts.append(f"PERFORM interleave_step($code${code}$code$);\n")
        parts.append(source[mark.end() : end])
    return "".join(parts)


def as_sql(segment: str) -> str:
    """The segment's only statement, as plain SQL; the segment as it is if it has several."""
    found = STATEMENT.match(segment)
    if found is None:
        return segment if MORE.search(segment) else RETURN
    if MORE.search(segment, found.end()):
        return segment
    return INTO.sub("", re.sub(r"^PERFORM\b", "SELECT", found[1]))


def step_of(message: str | None) -> tuple[int, str] | None:
    """The number and the code of the step that a notice reports; None if it reports none."""
    found = NOTICE.match(message or "")
    return (int(found[1]), found[2]) if found else None


class Gates:
    """Keeps watched connections waiting at their steps. `keeper` is a connection of its own."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper

    @property
    def process(self) -> int:
        """The server process that those at a step wait for."""
        return int(self._keeper.info.backend_pid)

    def keep(self, raw: Any) -> None:
        """From now on the connection waits at steps."""
        raw.execute(COUNTED)
        raw.execute(SWITCHED_ON)
        raw.commit()
        self._keeper.execute("SELECT pg_advisory_lock(%s, 1)", [raw.info.backend_pid])

    def let_go(self, raw: Any) -> None:
        raw.execute(SWITCHED_OFF)
        raw.commit()
        self._keeper.execute("SELECT pg_advisory_unlock_all()")

    def open(self, process: int, step: int) -> None:
        """Let the process go on, to its next step."""
        self._keeper.execute(
            "SELECT pg_advisory_lock(%(process)s, %(other)s::int),"
            " pg_advisory_unlock(%(process)s, %(this)s::int)",
            {"process": process, "this": step % 2, "other": (step + 1) % 2},
        )
