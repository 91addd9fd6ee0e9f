"""The runbook's SQL runs, and the page covers every reason and every check."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

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


# What does not end by itself; run in tests/cli/test_sweep.py, tests/cli/test_run.py, tests/server.
ENDLESS = ("joblot serve", "joblot run", "--forever")


def commands() -> list[str]:
    """Those in the text and those in blocks."""
    found = re.findall(r"`(joblot [^`]+)`", PAGE.replace("\n  ", " "))
    found += re.findall(r"^    (joblot [^#\n]+)", PAGE, re.MULTILINE)
    return sorted({one.strip() for one in found if not any(part in one for part in ENDLESS)})


def run(folder: Path, *script: str, given: str = "") -> str:
    """Without a project, in a folder of its own."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, *script],
        cwd=folder,
        env=ours | {"XDG_DATA_HOME": str(folder)},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SETUP = "from joblot.standalone import setup; setup()\n"
MAKE = """
from joblot.cli.database import migrate; migrate()
from joblot import submit; print(submit("j", ["a"], pipeline="p", seal=False).pk)
"""
SEE = "from joblot import progress; j = progress({}); print(j['sealed'], j['total'])"


def test_every_command_runs_without_a_project(tmp_path: Path) -> None:
    assert len(commands()) > 20
    script = str(ROOT / "tests/docs/standalone.py")
    done = json.loads(run(tmp_path, script, str(tmp_path), given=json.dumps(commands())))
    assert len(done) == len(commands())
    assert [one for one in done if one[1] != 0] == []


def test_the_python_runs_without_a_project(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\n")
    job = run(tmp_path, "-c", f"{SETUP}{MAKE}").strip()
    seen = "from joblot.ledger.rows.workers import seen; seen(0, 'gpu-7/4f1c0a9be1d2')\n"
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        run(tmp_path, "-c", SETUP + seen + block.replace("JOB", job))
    assert run(tmp_path, "-c", f"{SETUP}{SEE.format(job)}") == "True 2\n"


def test_every_reason_is_explained() -> None:
    read = ROOT / "src/joblot/ledger/read"
    files = [read / "why.py", *(read / "reasons").glob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    codes = {
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "reason"
    }
    assert codes - {"more"} == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_every_check_of_the_audit_is_explained(ledger_db: str) -> None:
    stages = [{"name": "STAGE", "pipeline": "p"}, {"name": "two", "pipeline": "p"}]
    job = submit("audited", keys(2), stages=stages)
    checks = audit(job.pk)["checks"]
    cancel(job.pk, grace_seconds=0)
    checks += audit(job.pk)["checks"]
    names = {check["invariant"].replace("two", "STAGE") for check in checks}
    assert names == set(re.findall(r"`([^`]+)`", PAGE.split("| check |")[1].split("\n\n")[0]))
