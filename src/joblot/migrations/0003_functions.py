"""The functions that verbs call on PostgreSQL; on SQLite there are none.

They are created in the schema of the tables, with the rights of their caller. A later version of a
function is another one, in another migration: see `joblot.ledger.db.functions`.
"""

from typing import Any

from django.db import migrations

from joblot.ledger.db import functions

FUNCTIONS = [
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
]


def create(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in FUNCTIONS:
            for statement in functions.creation(name):
                schema_editor.execute(statement, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in FUNCTIONS:
            schema_editor.execute(functions.removal(name), params=None)


class Migration(migrations.Migration):
    dependencies = [("joblot", "0002_guards")]
    operations = [migrations.RunPython(create, drop)]
