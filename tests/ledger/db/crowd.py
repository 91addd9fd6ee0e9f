"""Many rows of other jobs, workers and pipelines, so that plans have a reason to avoid them."""

from __future__ import annotations

from django.db import connections

JOBS = 3_000

# Jobs that ended long ago, with one item each; and many leases and ranges of a running job.
CROWD = f"""
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE crowd ON COMMIT DROP AS
    SELECT max(id) AS old, n AS new FROM joblot_job, generate_series(-{JOBS}, -1) n GROUP BY n;
CREATE TEMP TABLE ended ON COMMIT DROP AS SELECT * FROM joblot_job;
UPDATE ended SET status = 'SUCCESS';
"""
COPIES = {
    "joblot_job": ("ended", "r.id", {"id": "c.new"}),
    "joblot_stage": ("joblot_stage", "r.job_id", {"job_id": "c.new"}),
    "joblot_tally": ("joblot_tally", "r.job_id", {"job_id": "c.new"}),
    "joblot_item": ("(SELECT * FROM joblot_item LIMIT 3)", "r.job_id", {"job_id": "c.new"}),
    "joblot_outcome": (
        "(SELECT * FROM joblot_outcome LIMIT 3)",
        "r.job_id",
        {"job_id": "c.new"},
    ),
    "joblot_lease": (
        "(SELECT * FROM joblot_lease LIMIT 1)",
        "r.job_id",
        {"token": "gen_random_uuid()", "job_id": "c.new", "state": "3"},
    ),
    "joblot_event": (
        "(SELECT * FROM joblot_event LIMIT 1)",
        "r.job_id",
        {"id": "c.new", "job_id": "c.new"},
    ),
    "joblot_range": (
        "(SELECT * FROM joblot_range LIMIT 1)",
        "r.job_id",
        {"id": "c.new", "job_id": "c.new"},
    ),
}


LIMITS = """
INSERT INTO joblot_pipeline_limit
    (pipeline, rate_items_max, rate_seconds, seconds, granted, changed_at, changed_by, reason)
SELECT 'crowd ' || n, 5, 60, 60, '[]', now(), '', '' FROM generate_series(1, 5000) AS n
"""
WORKERS = """
    INSERT INTO joblot_worker (owner, instance, about, pipelines)
    SELECT -n, 'gone', '{}', '[]' FROM generate_series(2, 5000) n
"""


def crowd() -> None:
    with connections["postgres"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(CROWD)
        for table, (rows, job, changes) in COPIES.items():
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass "
                "AND attnum > 0 AND NOT attisdropped",
                [table],
            )
            names = [name for (name,) in cursor.fetchall()]
            values = ", ".join(changes.get(name, f'r."{name}"') for name in names)
            quoted = ", ".join(f'"{name}"' for name in names)
            cursor.execute(
                f"INSERT INTO {table} ({quoted}) OVERRIDING SYSTEM VALUE "
                f"SELECT {values} FROM {rows} r JOIN crowd c ON c.old = {job}"
            )
        cursor.execute(WORKERS)
        cursor.execute(LIMITS)
        cursor.execute("COMMIT")
        cursor.execute(f"ANALYZE joblot_worker, joblot_pipeline_limit, {', '.join(COPIES)}")


def disperse() -> None:
    """Remove the crowd, and its statistics and dead rows, which would change later plans."""
    with connections["postgres"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in COPIES:
            column = "id" if table == "joblot_job" else "job_id"
            cursor.execute(f"DELETE FROM {table} WHERE {column} < 0")
        cursor.execute("DELETE FROM joblot_worker WHERE owner < -1")
        cursor.execute("DELETE FROM joblot_pipeline_limit")
        cursor.execute("COMMIT")
        cursor.execute(f"VACUUM ANALYZE joblot_worker, joblot_pipeline_limit, {', '.join(COPIES)}")
