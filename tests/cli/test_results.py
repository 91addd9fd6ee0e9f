"""`joblot results`: rows for other programs, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from joblot.cli.app import app
from joblot.cli.commands.results import COLUMNS, _print_lines, cells
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import failure, success


def lines(*args: object) -> list[str]:
    done = CliRunner().invoke(app, ["results", *map(str, args)])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


@pytest.fixture
def job(ledger_db: str) -> int:
    """Still running: two succeeded, one failed, one is open."""
    made = submit("four", ["a", "b", "=c", "d"], pipeline="p")
    (lease,) = claim("p", 3).leases
    report(
        lease.token,
        [
            success(0, {"width": 1}, metrics={"bytes": 7}),
            success(1, "=1+1"),
            failure(2, "ValueError", "bad, really"),
        ],
    )
    return int(made.pk)


def test_a_running_job_has_results(job: int):
    rows = [json.loads(line) for line in lines(job)]
    assert [tuple(row) for row in rows] == [COLUMNS] * 4
    assert rows[0] == {
        "key": "a",
        "state": "succeeded",
        "output": {"width": 1},
        "metrics": {"bytes": 7},
        "error": None,
    }
    error = rows[2]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "bad, really")
    assert (rows[3]["state"], rows[3]["output"]) == ("open", None)
    (failed,) = lines(job, "--state", "failed")
    assert json.loads(failed) == rows[2]


def test_csv_has_cells_and_no_formulas(job: int):
    rows = list(csv.reader(io.StringIO("\n".join(lines(job, "--format", "csv")))))
    assert rows == [
        list(COLUMNS),
        ["a", "succeeded", '{"width": 1}', '{"bytes": 7}', ""],
        ["b", "succeeded", "'=1+1", "", ""],
        ["'=c", "failed", "", "", "ValueError: bad, really"],
        ["d", "open", "", "", ""],
    ]


@pytest.mark.parametrize(
    ("output", "cell"),
    [
        ("=A1", "'=A1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=A1", "'\t=A1"),
        (-1, "-1"),
        (-0.5, "-0.5"),
        (True, "true"),
        (None, ""),
        ("a=b", "a=b"),
        (["=A1"], '["=A1"]'),
    ],
)
def test_a_cell(output: Any, cell: str):
    row: dict[str, Any] = {
        "key": "k",
        "state": "succeeded",
        "output": output,
        "metrics": {},
        "error": None,
    }
    assert cells(row) == ["k", "succeeded", cell, "", ""]


def test_many_results_need_no_more_memory(capsys: pytest.CaptureFixture[str]):
    """The rows are printed as they come: none is kept."""
    row: dict[str, Any] = {
        "key": "k",
        "state": "succeeded",
        "output": "x" * 1_000,
        "metrics": {},
        "error": None,
    }

    def many() -> Iterator[dict[str, Any]]:
        for number in range(2_000):
            yield row | {"key": f"k{number}"}
            if number % 100 == 99:
                capsys.readouterr()
                assert tracemalloc.get_traced_memory()[0] < 500_000

    tracemalloc.start()
    try:
        _print_lines(many())
    finally:
        tracemalloc.stop()
