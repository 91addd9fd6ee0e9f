"""A nearly complete job of 100,000 items, written directly in a second; it passes the audit.

In each stage a few items failed, fewer were lost, and the last ones wait or are leased.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections

from joblot.fingerprint import cause_of
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger.worker import TWO_STAGES

ITEMS = 100_000
LEASES = 5_000  # of the large job, all ended

NUMBERS = {
    "postgresql": f"SELECT generate_series(0, {ITEMS - 1}) AS n",
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c "
    f"WHERE n < {ITEMS - 1}) SELECT n FROM c",
}
NOW = {"postgresql": "now()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}
LATER = {
    "postgresql": "now() + interval '1 hour'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 hour')",
}
CAUSE = cause_of("Bad", "broken")
FAILED, LOST = "n % 5000 = 7", "n % 10000 = 9"
TOKEN = {"postgresql": "md5(({0})::text)::uuid", "sqlite": "printf('%032x', {0} + 1)"}


def large_job(using: str) -> Job:
    """Create and audit the job. The caller must empty the tables."""
    job = submit("large", (), stages=TWO_STAGES, seal=False)
    with connections[using].cursor() as cursor:
        for statement in _statements(connections[using].vendor, job.pk):
            cursor.execute(statement)
    found = audit(job.pk)
    assert found["ok"], [check for check in found["checks"] if not check["ok"]]
    return job


def _statements(vendor: str, job: int) -> Iterator[str]:
    numbers, now, later = NUMBERS[vendor], NOW[vendor], LATER[vendor]
    state = f"CASE WHEN {FAILED} THEN 2 WHEN {LOST} THEN 3 ELSE 1 END"
    given_up = f"({FAILED} OR {LOST})"
    of_error = ("'Bad'", "'broken'", f"'{CAUSE}'", TOKEN[vendor].format("n"))
    error = [f"CASE WHEN {given_up} THEN {value} END" for value in of_error]
    yield (
        "INSERT INTO joblot_item (job_id, number, key, payload) "
        f"SELECT {job}, n, 'k' || n, '{{}}' FROM ({numbers}) s"
    )
    for stage, settled in ((0, f"n < {ITEMS - 100}"), (1, f"n < {ITEMS - 150} AND NOT {given_up}")):
        yield (
            "INSERT INTO joblot_outcome (job_id, stage, number, run, state, metrics, settled_at, "
            "error_type, error_message, error_cause, lease_token) "
            f"SELECT {job}, {stage}, n, 1, {state if stage == 0 else '1'}, NULL, {now}, "
            f"{', '.join(error if stage == 0 else ['NULL'] * 4)} "
            f"FROM ({numbers}) s WHERE {settled}"
        )
        yield (
            "INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, lost, skipped, late)"
            f" SELECT {job}, {stage}, 1, "
            + ", ".join(
                f"COALESCE(sum(CASE WHEN o.stage = {of} AND o.state IN ({states}) THEN 1 ELSE 0 "
                "END), 0)"
                for of, states in (
                    (stage, "1"),
                    (stage, "2"),
                    (stage, "3"),
                    (stage - 1, "2, 3"),
                )
            )
            + f", 0 FROM joblot_outcome o WHERE o.job_id = {job}"
        )
    for stage, first, last in ((0, ITEMS - 100, ITEMS - 51), (1, ITEMS - 150, ITEMS - 101)):
        yield (
            "INSERT INTO joblot_range (job_id, stage, next, last, not_before, failures, expiries, "
            f"returns) VALUES ({job}, {stage}, {first}, {last}, {now}, 0, 0, 0)"
        )
    lease = "job_id, run, stage, state, size, open, ranges, gone, worker, claimed_at, expires_at"
    token = TOKEN[vendor]
    yield (
        f"INSERT INTO joblot_lease (token, {lease}) SELECT {token.format('-1')}, {job}, 1, 0, 0, "
        f"50, 50, '[[{ITEMS - 50}, {ITEMS - 1}, 0, 0, 0]]', '[]', 'w', {now}, {later}"
    )
    yield (
        f"INSERT INTO joblot_lease (token, {lease}) SELECT {token.format('n')}, {job}, 1, 0, 1, "
        f"0, 0, '[]', '[]', 'w', {now}, {now} FROM ({numbers}) s WHERE n < {LEASES}"
    )
    yield (
        "INSERT INTO joblot_attempt (job_id, run, stage, number, cause, error_type, error_message,"
        " error_cause, error_traceback, worker, at) "
        f"SELECT {job}, 1, 0, n, 'failed', 'Bad', 'broken', '{CAUSE}', '', 'w', {now} "
        f"FROM ({numbers}) s WHERE n % 10 = 0"
    )
    yield (
        "INSERT INTO joblot_log (job_id, run, level, message, at) "
        f"SELECT {job}, 1, 'info', 'line', {now} FROM ({numbers}) s WHERE n % 10 = 0"
    )
    yield (
        f"UPDATE joblot_job SET total = {ITEMS}, sealed = (1 = 1), status = 'STARTED', "
        f"started_at = {now}, version = version + 1 WHERE id = {job}"
    )
