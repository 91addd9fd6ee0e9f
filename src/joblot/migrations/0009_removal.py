"""What a removal needs: its guard, and indexes by which it and the sweep find what is left."""

from typing import Any

from django.db import migrations, models

TERMINAL = "'SUCCESS', 'COMPLETED_WITH_ERRORS', 'FAILURE', 'REVOKED'"

# What stays as it is once a job is marked, and while it is.
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

MESSAGE = "joblot: a job that is being removed changes no more, and only one that has ended is"

# SAME is the database's word for equal or both null.
ALLOWED = f"""(
    {" AND ".join(f"NEW.{column} SAME OLD.{column}" for column in KEPT)}
    AND NEW.deleted_at IS NOT NULL AND NEW.idempotency_key IS NULL
    AND (
        (OLD.deleted_at IS NULL AND OLD.status IN ({TERMINAL}) AND NEW.total = OLD.total)
        OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at = OLD.deleted_at
            AND NEW.total <= OLD.total)
    )
)"""
MARKED = "(OLD.deleted_at IS NOT NULL OR NEW.deleted_at IS NOT NULL)"

POSTGRESQL = f"""
CREATE FUNCTION joblot_guard_job_removal() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF NOT {ALLOWED.replace("SAME", "IS NOT DISTINCT FROM")} THEN
        RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $guard$;
CREATE TRIGGER joblot_guard_job_removal BEFORE UPDATE ON joblot_job
    FOR EACH ROW WHEN {MARKED} EXECUTE FUNCTION joblot_guard_job_removal();
"""

SQLITE = f"""
CREATE TRIGGER joblot_guard_job_removal BEFORE UPDATE ON joblot_job
WHEN {MARKED} AND NOT {ALLOWED.replace("SAME", "IS")}
BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END
"""

# What was stored before there was a row for it. A file that something refers to is looked at when
# its reference goes.
KNOWN_FILES = """
INSERT INTO joblot_stored_output (name, hash, state)
SELECT output_ref, hash, 1 FROM joblot_outcome WHERE output_ref IS NOT NULL
UNION SELECT output_ref, hash, 1 FROM joblot_uncounted WHERE output_ref IS NOT NULL
"""


def guard(apps: Any, schema_editor: Any) -> None:
    by_vendor = {"postgresql": POSTGRESQL, "sqlite": SQLITE}
    schema_editor.execute(by_vendor[schema_editor.connection.vendor], params=None)


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER joblot_guard_job_removal ON joblot_job")
        schema_editor.execute("DROP FUNCTION joblot_guard_job_removal()")
    else:
        schema_editor.execute("DROP TRIGGER joblot_guard_job_removal")


class Migration(migrations.Migration):
    dependencies = [("joblot", "0008_keys")]
    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", False)),
                fields=["total"],
                name="joblot_job_removal",
            ),
        ),
        migrations.AddIndex(
            model_name="uncounted",
            index=models.Index(fields=["job"], name="joblot_uncounted_job"),
        ),
        migrations.CreateModel(
            name="StoredOutput",
            fields=[
                ("name", models.CharField(max_length=200, primary_key=True, serialize=False)),
                ("hash", models.BinaryField(max_length=32)),
                (
                    "state",
                    models.SmallIntegerField(
                        choices=[(0, "WRITING"), (1, "STORED"), (2, "REMOVING")]
                    ),
                ),
                ("check_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "joblot_stored_output",
                "indexes": [
                    models.Index(fields=["hash"], name="joblot_stored_output_hash"),
                    models.Index(
                        condition=models.Q(("check_at__isnull", False)),
                        fields=["check_at"],
                        name="joblot_stored_output_check",
                    ),
                ],
            },
        ),
        *(
            migrations.AddIndex(
                model_name=model,
                index=models.Index(
                    condition=models.Q(("output_ref__isnull", False)),
                    fields=["output_ref"],
                    name=f"joblot_{model}_output_ref",
                ),
            )
            for model in ("outcome", "uncounted")
        ),
        migrations.RunSQL(KNOWN_FILES, migrations.RunSQL.noop),
        migrations.RunPython(guard, unguard),
    ]
