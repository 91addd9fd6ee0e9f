"""The database's own guards of the job's row (triggers), and storage options of hot tables.

The triggers refuse stale saves and hand-written UPDATEs; changes of a job that is being removed;
and changes of what was requested with an idempotency key. The pairs below are those of the state
machine; a test compares them with `joblot.states`.
"""

from typing import Any

from django.db import migrations

# (from, to, runs further)
TRANSITIONS = [
    ("CREATED", "PENDING", 0),
    ("PENDING", "STARTED", 0),
    ("PENDING", "PAUSED", 0),
    ("STARTED", "PAUSED", 0),
    ("PAUSED", "STARTED", 0),
    ("CREATED", "CANCELING", 0),
    ("PENDING", "CANCELING", 0),
    ("STARTED", "CANCELING", 0),
    ("PAUSED", "CANCELING", 0),
    ("CANCELING", "REVOKED", 0),
    ("PENDING", "SUCCESS", 0),
    ("PENDING", "COMPLETED_WITH_ERRORS", 0),
    ("PENDING", "FAILURE", 0),
    ("STARTED", "SUCCESS", 0),
    ("STARTED", "COMPLETED_WITH_ERRORS", 0),
    ("STARTED", "FAILURE", 0),
    ("PAUSED", "SUCCESS", 0),
    ("PAUSED", "COMPLETED_WITH_ERRORS", 0),
    ("PAUSED", "FAILURE", 0),
    ("FAILURE", "SUCCESS", 0),
    ("FAILURE", "COMPLETED_WITH_ERRORS", 0),
    ("COMPLETED_WITH_ERRORS", "SUCCESS", 0),
    ("COMPLETED_WITH_ERRORS", "CREATED", 1),
    ("FAILURE", "CREATED", 1),
    ("REVOKED", "CREATED", 1),
]

OWNED = [
    "owner",
    "idempotency_key",
    "asked",
    "status",
    "run",
    "revision",
    "version",
    "sealed",
    "total",
    "config",
    "policy",
    "recorded",
    "reopening",
    "trace",
    "created_at",
    "started_at",
    "finished_at",
    "cancel_closes_at",
    "deleted_at",
]

TERMINAL = "'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILURE', 'REVOKED'"

MESSAGE_VERSION = "joblot: the job was changed without its version: use a verb of joblot"
MESSAGE_STATUS = (
    "joblot: this change of status, run, revision or end is not in the transition table"
)

PAIRS = ", ".join(f"('{old}', '{new}', {runs})" for old, new, runs in TRANSITIONS)

# True if status and run are unchanged, or change as in the table, and what an ended run has
# recorded changes only with the next revision. SAME stands for the operator "equal or both null".
ALLOWED = f"""(
    (NEW.status = OLD.status AND NEW.run = OLD.run)
    OR (OLD.status, NEW.status, NEW.run - OLD.run) IN (VALUES {PAIRS})
) AND (
    OLD.status NOT IN ({TERMINAL}) OR NEW.run > OLD.run
    OR NEW.revision = OLD.revision + 1
    OR (NEW.status = OLD.status AND NEW.revision = OLD.revision
        AND NEW.recorded SAME OLD.recorded AND NEW.finished_at SAME OLD.finished_at)
)"""

POSTGRESQL = f"""
CREATE FUNCTION joblot_guard_job() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF ({", ".join(f"NEW.{c}" for c in OWNED)})
       IS NOT DISTINCT FROM ({", ".join(f"OLD.{c}" for c in OWNED)}) THEN
        RETURN NEW;
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        RAISE EXCEPTION '{MESSAGE_VERSION}' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT ({ALLOWED.replace("SAME", "IS NOT DISTINCT FROM")}) THEN
        RAISE EXCEPTION '{MESSAGE_STATUS}: % -> %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $guard$;
CREATE TRIGGER joblot_guard_job BEFORE UPDATE ON joblot_job
    FOR EACH ROW EXECUTE FUNCTION joblot_guard_job();
"""

CHANGED = " OR ".join(f"NEW.{c} IS NOT OLD.{c}" for c in OWNED)

SQLITE = [
    f"""
CREATE TRIGGER joblot_guard_job_version BEFORE UPDATE ON joblot_job
WHEN ({CHANGED}) AND NEW.version <> OLD.version + 1
BEGIN SELECT RAISE(ABORT, '{MESSAGE_VERSION}'); END
""",
    f"""
CREATE TRIGGER joblot_guard_job_status BEFORE UPDATE ON joblot_job
WHEN NOT ({ALLOWED.replace("SAME", "IS")})
BEGIN SELECT RAISE(ABORT, '{MESSAGE_STATUS}'); END
""",
]

# The columns that don't change when a job is marked for removal, or afterwards.
KEPT = [
    "status",
    "run",
    "revision",
    "sealed",
    "config",
    "policy",
    "recorded",
    "reopening",
    "created_at",
    "started_at",
    "finished_at",
    "cancel_closes_at",
]

MESSAGE_REMOVAL = "joblot: a job that is being removed changes no more, and only one that has ended is"

# SAME stands for the operator "equal or both null".
ALLOWED_REMOVAL = f"""(
    {" AND ".join(f"NEW.{column} SAME OLD.{column}" for column in KEPT)}
    AND NEW.deleted_at IS NOT NULL AND NEW.idempotency_key IS NULL
    AND (
        (OLD.deleted_at IS NULL AND OLD.status IN ({TERMINAL}) AND NEW.total = OLD.total)
        OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at = OLD.deleted_at
            AND NEW.total <= OLD.total)
    )
)"""
MARKED = "(OLD.deleted_at IS NOT NULL OR NEW.deleted_at IS NOT NULL)"

POSTGRESQL_REMOVAL = f"""
CREATE FUNCTION joblot_guard_job_removal() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF NOT {ALLOWED_REMOVAL.replace("SAME", "IS NOT DISTINCT FROM")} THEN
        RAISE EXCEPTION '{MESSAGE_REMOVAL}' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $guard$;
CREATE TRIGGER joblot_guard_job_removal BEFORE UPDATE ON joblot_job
    FOR EACH ROW WHEN {MARKED} EXECUTE FUNCTION joblot_guard_job_removal();
"""

SQLITE_REMOVAL = f"""
CREATE TRIGGER joblot_guard_job_removal BEFORE UPDATE ON joblot_job
WHEN {MARKED} AND NOT {ALLOWED_REMOVAL.replace("SAME", "IS")}
BEGIN SELECT RAISE(ABORT, '{MESSAGE_REMOVAL}'); END
"""

MESSAGE_ASKED = "joblot: what was asked with the idempotency key of a job never changes"

POSTGRESQL_ASKED = f"""
CREATE FUNCTION joblot_guard_asked() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    RAISE EXCEPTION '{MESSAGE_ASKED}' USING ERRCODE = 'check_violation';
END $guard$;
CREATE TRIGGER joblot_guard_asked BEFORE UPDATE OF asked ON joblot_job
    FOR EACH ROW WHEN (NEW.asked IS DISTINCT FROM OLD.asked) EXECUTE FUNCTION joblot_guard_asked();
"""

SQLITE_ASKED = f"""
CREATE TRIGGER joblot_guard_asked BEFORE UPDATE OF asked ON joblot_job
WHEN NEW.asked IS NOT OLD.asked
BEGIN SELECT RAISE(ABORT, '{MESSAGE_ASKED}'); END
"""

# Small hot tables: vacuum by the number of changed rows, not by their share.
POSTGRESQL_STORAGE = """
ALTER TABLE joblot_range SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000, fillfactor = 70);
ALTER TABLE joblot_lease SET (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 70);
ALTER TABLE joblot_tally SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000, fillfactor = 50);
ALTER TABLE joblot_metric SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000, fillfactor = 50);
"""



def guard(apps: Any, schema_editor: Any) -> None:
    by_vendor = {
        "postgresql": [POSTGRESQL, POSTGRESQL_REMOVAL, POSTGRESQL_ASKED, POSTGRESQL_STORAGE],
        "sqlite": [*SQLITE, SQLITE_REMOVAL, SQLITE_ASKED],
    }
    if schema_editor.connection.vendor not in by_vendor:
        raise NotImplementedError("joblot runs on PostgreSQL and SQLite")
    for statement in by_vendor[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in ("joblot_guard_job", "joblot_guard_job_removal", "joblot_guard_asked"):
            schema_editor.execute(f"DROP TRIGGER {name} ON joblot_job")
            schema_editor.execute(f"DROP FUNCTION {name}()")
    else:
        for name in ("job_version", "job_status", "job_removal", "asked"):
            schema_editor.execute(f"DROP TRIGGER joblot_guard_{name}")


class Migration(migrations.Migration):
    dependencies = [("joblot", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard)]
