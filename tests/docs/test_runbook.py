"""The runbook's SQL runs, and the page covers every reason and every check."""

from __future__ import annotations

import ast
import re

from django.db import connections

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.meta.sources import ROOT

PAGE = (ROOT / "docs/how-to/runbook.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def test_every_query_runs(postgres_only: str) -> None:
    assert QUERIES
    with connections[postgres_only].cursor() as cursor:
        for query in QUERIES:
            cursor.execute(query)
            cursor.fetchall()


def test_every_reason_is_explained() -> None:
    tree = ast.parse((ROOT / "src/joblot/ledger/read/why.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    codes = {
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "_reason"
    }
    assert codes == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_every_check_of_the_audit_is_explained(ledger_db: str) -> None:
    stages = [{"name": "STAGE", "pipeline": "p"}, {"name": "two", "pipeline": "p"}]
    job = submit("audited", keys(2), stages=stages)
    checks = audit(job.pk)["checks"]
    cancel(job.pk, grace_seconds=0)
    checks += audit(job.pk)["checks"]
    names = {check["invariant"].replace("two", "STAGE") for check in checks}
    assert names == set(re.findall(r"`([^`]+)`", PAGE.split("| check |")[1].split("\n\n")[0]))
