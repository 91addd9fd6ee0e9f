"""The command line prints no control codes from stored data to the terminal."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import joblot.cli
from joblot.cli.app import app
from joblot.cli.printable import printable
from joblot.ledger.claim.claim import claim
from joblot.ledger.report.report import report
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.wire import failure
from tests.cli.conftest import Joblot

EVIL = "\x1b[31mred\nsecond\x07 \x9b2J\u202ereversed"
SHOWN = r"\x1b[31mred\nsecond\x07 \x9b2J\u202ereversed"
IN_A_CELL = r"\x1b[31mred second\x07 \x9b2J\u202ereversed"
RAW = ("\x1b[31m", "\x07", "\x9b", "\u202e")


@pytest.fixture
def job(ledger_db: str) -> int:
    """A job whose name, item key, error and log line contain terminal control codes."""
    made = submit(EVIL, [EVIL], pipeline="p", stages=None)
    (lease,) = claim("p").leases
    report(lease.token, [failure(0, "ValueError", EVIL)])
    log(made.pk, EVIL)
    return int(made.pk)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("command", "said"),
    [("items", IN_A_CELL), ("jobs", IN_A_CELL), ("show", SHOWN), ("logs", SHOWN)],
)
def test_control_characters_are_printed_as_their_escapes(
    job: int, command: str, said: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    args = [command] if command == "jobs" else [command, str(job)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0
    assert said in done.output
    assert not any(raw in done.output for raw in RAW)


def test_json_stays_what_it_is_and_has_none_either(job: int) -> None:
    done = CliRunner().invoke(app, ["items", str(job), "--json"])
    assert json.loads(done.output)[0]["key"] == EVIL
    assert not any(raw in done.output for raw in RAW)


def test_an_error_is_one_line(job: int) -> None:
    done = CliRunner().invoke(app, ["submit", "n", "--pipeline", "p", "--policy", "\x1b[31m=1"])
    assert done.exit_code == 2
    assert r"\x1b[31m" in done.stderr
    assert "\x1b[31m" not in done.stderr


def test_the_summary_of_a_run_is_a_line_for_each_item(joblot: Joblot) -> None:
    joblot.write("evil.py", f"def fails(key):\n    raise ValueError({EVIL!r})\n")
    done = joblot("run", "evil:fails", "--lines", joblot.write("names", "a\n"), expect=1)
    assert f"  1 item (100 %): ValueError: {SHOWN}" in done.stderr.splitlines()


def test_nothing_prints_past_the_one_place(tmp_path: Path) -> None:
    """Every other module prints through `printable`, or draws with the console."""
    found = []
    for path in Path(joblot.cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("print", "Console", "typer.echo", "sys.stdout.write", "sys.stderr.write"):
                found.append((path.name, called))
    # The console draws tables and bars, of cells that are made printable before.
    assert set(found) == {("printable.py", "print"), ("terminal.py", "Console")}


def test_what_is_printable_stays() -> None:
    assert printable("Ünïcode ✓ 𝄞 'quotes' \\n") == "Ünïcode ✓ 𝄞 'quotes' \\n"
