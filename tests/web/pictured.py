"""A job in the middle of its work, of any number of items, written directly; it passes the audit.

Nearly two thirds are settled. Of these a few failed anywhere, most of a block failed together, and
fewer were lost. Then come items in flight; the last ones are ready, and some wait for another try.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connections

from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger.large import LATER, NOW, TOKEN

LEASES, LEASE_ITEMS = 20, 16
SCATTERED = "(CAST(n AS bigint) * 7919) % 104729"  # numbers without a pattern that one could see
WAITS = f"{SCATTERED} % 977 = 5"


def numbers(vendor: str, items: int) -> str:
    if vendor == "postgresql":
        return f"SELECT generate_series(0, {items - 1}) AS n"
    return (
        "WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c "
        f"WHERE n < {items - 1}) SELECT n FROM c"
    )


def pictured_job(using: str, items: int, name: str = "tiles-2026") -> Job:
    """Create the job. The caller must empty the tables."""
    job = submit(name, (), pipeline="detect", seal=False)
    with connections[using].cursor() as cursor:
        for statement in _statements(connections[using].vendor, job.pk, items):
            cursor.execute(statement)
    return job


def _statements(vendor: str, job: int, items: int) -> Iterator[str]:
    all_numbers, now, later = numbers(vendor, items), NOW[vendor], LATER[vendor]
    end = items * 5 // 8
    yield (
        "INSERT INTO joblot_item (job_id, number, key, payload) "
        f"SELECT {job}, n, 'tile-' || n, '{{}}' FROM ({all_numbers}) s"
    )
    settled = f"n < {end} AND NOT {WAITS}"
    yield (
        "INSERT INTO joblot_outcome (job_id, stage, number, run, state, error_type, error_message, "
        f"settled_at) SELECT {job}, 0, n, 1, {_columns(items)}, {now} "
        f"FROM ({all_numbers}) s WHERE {settled}"
    )
    sums = ", ".join(f"COALESCE(sum(CASE WHEN state = {one} THEN 1 END), 0)" for one in (1, 2, 3))
    yield (
        "INSERT INTO joblot_tally (job_id, stage, slot, succeeded, failed, lost, skipped, late) "
        f"SELECT {job}, 0, 1, {sums}, 0, 0 FROM joblot_outcome WHERE job_id = {job}"
    )
    waits = "job_id, stage, next, last, not_before, failures, expiries, returns"
    yield (
        f"INSERT INTO joblot_range ({waits}) SELECT {job}, 0, n, n, {later}, 1, 0, 0 "
        f"FROM ({all_numbers}) s WHERE n < {end} AND {WAITS}"
    )
    held = end + LEASES * LEASE_ITEMS
    yield (
        f"INSERT INTO joblot_range ({waits}) VALUES ({job}, 0, {held}, {items - 1}, {now}, 0, 0, 0)"
    )
    first = f"({end} + n * {LEASE_ITEMS})"
    ranges = f"'[[' || {first} || ', ' || ({first} + {LEASE_ITEMS - 1}) || ', 0, 0, 0]]'"
    as_json = f"({ranges})::jsonb" if vendor == "postgresql" else ranges
    yield (
        "INSERT INTO joblot_lease (token, job_id, run, stage, state, size, open, ranges, gone, "
        f"worker, claimed_at, expires_at) SELECT {TOKEN[vendor].format('n')}, {job}, 1, 0, 0, "
        f"{LEASE_ITEMS}, {LEASE_ITEMS}, {as_json}, '[]', 'gpu-' || n, {now}, {later} "
        f"FROM ({all_numbers}) s WHERE n < {LEASES}"
    )
    yield (
        f"UPDATE joblot_job SET total = {items}, sealed = (1 = 1), status = 'PENDING', "
        f"started_at = {now}, version = version + 1 WHERE id = {job}"
    )
    yield f"UPDATE joblot_job SET status = 'STARTED', version = version + 1 WHERE id = {job}"


def _columns(items: int) -> str:
    """The state and the error of an item that is settled."""
    block = f"n BETWEEN {items * 2 // 5} AND {items * 41 // 100}"
    failed = f"({block} AND n % 4 <> 0 OR {SCATTERED} % 499 = 7)"
    lost = f"{SCATTERED} % 9973 = 9"
    values = (
        ("2", "3", "1"),
        ("'TimeoutError'", "'LeaseExpired'", "NULL"),
        ("'no answer in 30 s'", "'the worker is gone'", "NULL"),
    )
    return ", ".join(
        f"CASE WHEN {failed} THEN {bad} WHEN {lost} THEN {gone} ELSE {well} END"
        for bad, gone, well in values
    )
