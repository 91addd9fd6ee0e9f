"""`joblot import-blob` with a mapping that reads an old table, in a database of its own."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.meta.sources import ROOT

__all__ = ["joblot", "make_joblot"]

PAGE = (ROOT / "docs/how-to/move.md").read_text(encoding="utf-8")
(MAPPING,) = re.findall(r"```python\n# moving.py\n(.*?)```", PAGE, re.DOTALL)


def change(joblot: Joblot, *statements: str) -> None:
    with closing(sqlite3.connect(joblot.folder / "old.sqlite3")) as old, old:
        for statement in statements:
            old.execute(statement)


def status(joblot: Joblot) -> tuple[str, int | None]:
    with closing(sqlite3.connect(joblot.folder / "old.sqlite3")) as old:
        ((found, job),) = old.execute("SELECT status, joblot_id FROM jobs_job")
        return found, job


@pytest.fixture
def old_table(joblot: Joblot) -> None:
    """The guide's table: 4 images, 2 processed, of which the JSON has lost one."""
    progress = {"process": {"succeeded": 1, "failed": 0}, "results": {"succeeded": 0, "failed": 0}}
    joblot.write("moving.py", MAPPING)
    change(
        joblot,
        "CREATE TABLE jobs_job (id int, name text, status text, progress text, joblot_id int)",
        "CREATE TABLE jobs_image (job_id int, path text, features text, failed text, saved int)",
        f"INSERT INTO jobs_job VALUES (17, 'night', 'STARTED', '{json.dumps(progress)}', NULL)",
        *(
            f"INSERT INTO jobs_image VALUES (17, {values})"
            for values in (
                "'a.jpg', '[1]', NULL, 1",
                "'b.jpg', '[2]', NULL, 0",
                "'c.jpg', NULL, NULL, 0",
                "'d.jpg', NULL, NULL, 0",
            )
        ),
    )


def test_the_guides_mapping_moves_a_job(joblot: Joblot, old_table: None) -> None:
    planned = json.loads(joblot("import-blob", "moving:Moving", "--dry-run", "--json").stdout)
    assert (planned["dry_run"], planned["complete"]) == (True, True)
    assert planned["jobs"][0]["job"] is None
    filled = joblot("import-blob", "moving:Moving").stdout
    assert "17 night: job 1 filled, 4 items, 4 new" in filled
    assert "process: the JSON counts 1 succeeded, 0 failed; 2 results stored; 2 recorded" in filled
    assert status(joblot) == ("STARTED", None)
    joblot("import-blob", "moving:Moving", "--cut-over")
    assert status(joblot) == ("MOVING", 1)
    process, results = joblot.json("show", "1")["stages"]
    assert (process["succeeded"], process["ready"]) == (2, 2)
    assert (results["succeeded"], results["ready"]) == (1, 1)
    assert joblot.json("audit", "1")["ok"]


def test_what_is_not_taken_over_is_printed_and_is_exit_code_1(
    joblot: Joblot, old_table: None
) -> None:
    change(joblot, "UPDATE jobs_job SET progress = replace(progress, '1', '3')")
    done = joblot("import-blob", "moving:Moving", expect=1)
    assert "not taken over: 1 counted by the JSON without a result" in done.stdout
    assert "1 job, 1 with something that was not taken over" in done.stdout


def test_a_name_that_is_no_mapping_is_a_usage_error(joblot: Joblot) -> None:
    assert "module:function" in joblot("import-blob", "moving", expect=2).stderr
