"""What was asked with an idempotency key: kept with the job and the lease, and never changed."""

from typing import Any

from django.db import migrations, models

MESSAGE = "joblot: what was asked with the idempotency key of a job never changes"

POSTGRESQL = f"""
CREATE FUNCTION joblot_guard_asked() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    RAISE EXCEPTION '{MESSAGE}' USING ERRCODE = 'check_violation';
END $guard$;
CREATE TRIGGER joblot_guard_asked BEFORE UPDATE OF asked ON joblot_job
    FOR EACH ROW WHEN (NEW.asked IS DISTINCT FROM OLD.asked) EXECUTE FUNCTION joblot_guard_asked();
"""

SQLITE = f"""
CREATE TRIGGER joblot_guard_asked BEFORE UPDATE OF asked ON joblot_job
WHEN NEW.asked IS NOT OLD.asked
BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END
"""


def guard(apps: Any, schema_editor: Any) -> None:
    postgresql = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute(POSTGRESQL if postgresql else SQLITE, params=None)


def unguard(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER joblot_guard_asked ON joblot_job")
        schema_editor.execute("DROP FUNCTION joblot_guard_asked()")
    else:
        schema_editor.execute("DROP TRIGGER joblot_guard_asked")


class Migration(migrations.Migration):
    dependencies = [("joblot", "0007_handlers")]
    operations = [
        migrations.AddField("job", "asked", models.JSONField(null=True)),
        migrations.AddField("lease", "asked", models.BinaryField(null=True)),
        migrations.RunPython(guard, unguard),
    ]
