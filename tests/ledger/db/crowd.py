"""Many rows of other jobs, workers and pipelines, so that plans have a reason to avoid them."""

from __future__ import annotations

from django.db import connections

from tests.ledger.statistics import forget_statistics

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


# Where a table has few rows, reading all of them is a good plan, and one that is not analyzed here
# may be by autovacuum.
OTHERS = {
    "joblot_pipeline_limit": """
        INSERT INTO joblot_pipeline_limit
            (pipeline, rate_items_max, rate_seconds, seconds, granted, changed_at, changed_by,
             reason)
        SELECT 'crowd ' || n, 5, 60, 60, '[]', now(), '', '' FROM generate_series(1, 5000) AS n
    """,
    "joblot_rate": """
        INSERT INTO joblot_rate (job_id, seconds, granted)
        SELECT -n, 60, '[]' FROM generate_series(1, 5000) n
    """,
    "joblot_sweep_failure": """
        INSERT INTO joblot_sweep_failure (job_id, step, since, tries, next_try_at, error)
        SELECT -n, 'elsewhere', now(), 1, now(), '' FROM generate_series(1, 5000) n
    """,
    "joblot_worker": """
        INSERT INTO joblot_worker (owner, instance, about, pipelines)
        SELECT -n, 'gone', '{}', '[]' FROM generate_series(2, 5000) n
    """,
}


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
        for rows in OTHERS.values():
            cursor.execute(rows)
        cursor.execute("COMMIT")
        cursor.execute(f"ANALYZE {', '.join((*OTHERS, *COPIES))}")


def disperse() -> None:
    """Remove the crowd, and its statistics and dead rows, which would change later plans."""
    with connections["postgres"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in COPIES:
            column = "id" if table == "joblot_job" else "job_id"
            cursor.execute(f"DELETE FROM {table} WHERE {column} < 0")
        for table in OTHERS:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("COMMIT")
        cursor.execute(f"VACUUM {', '.join((*OTHERS, *COPIES))}")
    forget_statistics("postgres")
