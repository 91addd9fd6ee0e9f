"""`joblot certify` beside other jobs, which it must not touch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Joblot

# Jobs with something due: an overdue lease, a finish not reconciled, a deleted job, an event.
OTHERS = """
from joblot import standalone
standalone.setup()
from joblot import claim, faults, report, submit
from joblot.wire import success
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.testing.simulator.trouble import Killed

def die():
    raise Killed

overdue = submit("overdue", ["a", "b"], pipeline="other", policy={"lease_seconds": 0.001})
claim("other", 1)
unlooked = submit("unlooked", ["a"], pipeline="unlooked")
(lease,) = claim("unlooked").leases
try:
    with faults.armed("report: committed, not looked", die):
        report(lease.token, [success(0)])
except Killed:
    pass
gone = submit("gone", ["a"], pipeline="gone")
delete(gone.pk)
canceling = submit("canceling", ["a", "b"], pipeline="canceling")
claim("canceling", 1)
cancel(canceling.pk, grace_seconds=0.001 + 3600)
"""

DUMP = """
import json
from joblot import standalone
standalone.setup()
from django.apps import apps
from django.core import serializers
rows = {}
for model in apps.get_app_config("joblot").get_models():
    rows[model.__name__] = sorted(
        json.dumps([str(v) for v in row]) for row in model._base_manager.values_list()
    )
print(json.dumps(rows))
"""


def python(joblot: Joblot, code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=joblot.environment,
        cwd=joblot.folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def rows(joblot: Joblot) -> Any:
    return json.loads(python(joblot, DUMP))


@pytest.fixture(params=["sqlite", "postgres"])
def beside_others(request: pytest.FixtureRequest) -> Joblot:
    chosen = request.config.getoption("--db")
    if chosen and chosen != request.param:
        pytest.skip(f"--db {chosen}")
    fixture = {"sqlite": "joblot", "postgres": "joblot_on_postgres"}[request.param]
    joblot: Joblot = request.getfixturevalue(fixture)
    joblot("migrate")
    python(joblot, OTHERS)
    return joblot


def test_a_storm_is_exact_and_leaves_every_other_row_as_it_was(beside_others: Joblot):
    before = rows(beside_others)
    assert len(before["Job"]) == 4
    done = beside_others(
        "certify", "--items", "80", "--workers", "2", "--kills", "1", "--out", "page.json", "--json"
    )
    answer = json.loads(done.stdout)
    assert answer["ok"], answer
    assert answer["tried"]["killed with SIGKILL and replaced"] == 1
    assert json.loads((beside_others.folder / "page.json").read_text()) == answer
    assert rows(beside_others) == before


def test_the_job_is_kept_if_that_is_asked(joblot: Joblot):
    page = joblot("certify", "--items", "50", "--kills", "0", "--workers", "1", "--keep").stdout
    assert page.startswith("# joblot on this installation: exact")
    (job,) = joblot.json("jobs")
    assert (job["project"], job["total"]) == ("joblot-certify", 50)
    assert joblot.json("audit", str(job["id"]))["ok"]


def test_a_plan_that_can_not_be_is_a_usage_error(joblot: Joblot):
    assert "items: expected 50 to" in joblot("certify", "--items", "3", expect=2).stderr
