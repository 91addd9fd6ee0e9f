"""Health: does the database provide what joblot's guarantees require?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from joblot.ledger.db import functions
from joblot.ledger.db.dialect import dialect_of
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import connection, one_snapshot, repeated
from joblot.ledger.read.overdue_leases import overdue_leases
from joblot.ledger.read.undelivered import stuck_events, undelivered
from joblot.ledger.read.unremoved import unremoved
from joblot.ledger.read.workers import database_now
from joblot.ledger.rows.outputs import unreferenced
from joblot.ledger.rows.sweep_failures import failing
from joblot.shown import counted

Check = dict[str, Any]

GUARDS = {
    "postgresql": ["joblot_guard_asked", "joblot_guard_job", "joblot_guard_job_removal"],
    "sqlite": [
        "joblot_guard_asked",
        "joblot_guard_job_removal",
        "joblot_guard_job_status",
        "joblot_guard_job_version",
    ],
}
CLOCK_SECONDS_MAX = 5.0
ROWS_SHOWN_MAX = 5


@repeated
@one_snapshot()
def health() -> list[Check]:
    """Checks as `{"check", "ok", "found", "advice"}`; `advice` is "" for a check that passed.

    Raises Unavailable if the database does not answer.
    """
    database = [_version(), _guards(), _functions(), _clock()]
    return [*database, _leases(), _sweep(), _handlers(), _outputs()]


def check(name: str, ok: bool, found: str, advice: str) -> Check:
    return {"check": name, "ok": ok, "found": found, "advice": "" if ok else advice}


def _version() -> Check:
    conn = connection()
    dialect = dialect_of(conn)
    advice = f"expected version {dialect.oldest} or newer"
    return check("version", dialect.is_supported(conn), dialect.version(conn), advice)


def _guards() -> Check:
    found = [name for (name,) in fetch(connection(), "read/guards")]
    missing = sorted(set(GUARDS[dialect_of(connection()).name]) - set(found))
    return check(
        "guards",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "in place",
        "the triggers that guard a job's row are missing or disabled; run `joblot migrate`, or "
        "create them as joblot's migrations do",
    )


def _functions() -> Check:
    missing = functions.missing(connection())
    return check(
        "functions",
        not missing,
        f"missing: {', '.join(missing)}" if missing else "in place",
        "verbs call these functions: run `joblot migrate`; if a dump without functions was "
        "restored, create them as joblot's migrations do; and let the connection's search_path "
        "contain the schema of joblot's tables",
    )


def _clock() -> Check:
    ((now,),) = fetch(connection(), "db/clock")
    apart = abs((datetime.now(UTC) - moment(now)).total_seconds())
    return check(
        "clock",
        apart <= CLOCK_SECONDS_MAX,
        f"{apart:.1f} s from this machine's",
        "synchronize the clocks with NTP; joblot uses the database's, but log times will differ",
    )


def _leases() -> Check:
    """Leases that a sweep should have ended: their items wait, although no worker is on them."""
    late = overdue_leases()
    return check(
        "leases",
        late is None,
        late.text(database_now()) if late else "none is overdue",
        "nothing returns their items to the queue: run `joblot serve`, or `joblot sweep --forever`",
    )


def _sweep() -> Check:
    """Jobs for which the sweep fails; it continues with all others."""
    steps = [f"job {one.job_id}: {one}" for one in failing(ROWS_SHOWN_MAX)]
    events = [str(one) for one in stuck_events(ROWS_SHOWN_MAX)]
    return check(
        "sweep",
        not steps and not events,
        "; ".join([*steps, *events]) or "it fails for no job",
        "the traceback is in the log of the process that sweeps; other jobs are not held up",
    )


def _handlers() -> Check:
    found = [str(one) for one in undelivered(ROWS_SHOWN_MAX)]
    return check(
        "handlers",
        not found,
        "; ".join(found) or "none is late",
        "a handler that fails or hangs is retried, and gets no later event of the same job until "
        "it succeeds; fix it, and set timeouts on its mail and web requests",
    )


def _outputs() -> Check:
    """Unreferenced files of large outputs: the sweep marks them, and another process removes them.
    Having a few at any time is normal.
    """
    files = unreferenced()
    found = [f"{counted(files, 'file')} of large outputs that nothing refers to"] if files else []
    found += unremoved(ROWS_SHOWN_MAX)
    return check(
        "outputs",
        not found,
        "; ".join(found) or "no file waits to be removed",
        "the sweep marks them and another process removes them; check that both run and what the "
        "storage returns, and set timeouts on the storage",
    )
