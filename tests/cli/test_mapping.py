"""`joblot.map` in scripts, as their users write them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from joblot.cli.callee import Callee, loaded
from joblot.errors import InvalidInput
from tests.cli.conftest import SECONDS_MAX, Joblot
from tests.polling import eventually

HEAD = """
    import asyncio
    import json
    import sys
    from pathlib import Path

    import joblot
    from joblot.errors import InvalidInput, ItemFailed, KeyConflict
    from work import gated, note, upper

"""


class Script:
    """A script beside `work.py`, with its own database."""

    def __init__(self, joblot: Joblot, text: str) -> None:
        joblot.write("script.py", textwrap.dedent(HEAD) + textwrap.dedent(text))
        self._joblot = joblot

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=self._joblot.folder,
            env=self._joblot.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, expect: int = 0) -> tuple[Any, str]:
        """What it printed as JSON, and what it said on standard error."""
        process = self.start()
        printed, said = process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == expect, said
        return json.loads(printed or "null"), said


Write = Callable[[str], Script]


@pytest.fixture
def script(joblot: Joblot) -> Write:
    return lambda text: Script(joblot, text)


def test_outputs_come_in_the_order_of_the_items(script: Write, joblot: Joblot):
    """A function of the script, on items that are no keys; the second call finds all done."""
    ours = script("""
        def double(numbers):
            for number in numbers:
                note(number)
            return [2 * number for number in numbers]

        if __name__ == "__main__":
            items = [*range(300), 7, 7]
            outputs = joblot.map(double, iter(items), batch=32, workers=2, key="doubles")
            again = joblot.map(double, items, batch=32, workers=1, key="doubles", progress=False)
            try:
                joblot.map(double, items[:-1], batch=32, workers=1, key="doubles")
            except KeyConflict as error:
                refused = str(error)
            print(json.dumps([list(outputs), list(outputs) == list(again), repr(again), refused]))
    """)
    (outputs, same, shown, refused), said = ours.said()
    assert outputs == [2 * number for number in [*range(300), 7, 7]]
    assert same
    assert shown == "<joblot.map: job 1, 302 items, 0 failed>"
    assert "1 item that this submission did not include" in refused
    assert "job 1: Succeeded, double 302 of 302" in said
    assert len(joblot.lines("calls")) == 302
    assert joblot.json("audit", "1")["ok"]


def test_a_failed_item_is_reported_and_repeated_alone(script: Write, joblot: Joblot):
    ours = script("""
        def picky(path):
            note(path)
            if path == "b" and not Path("mended").exists():
                raise ValueError("broken")
            return path.upper()

        def call(**more):
            return joblot.map(picky, map(Path, "abc"), workers=1, key="k", progress=False, **more)

        if __name__ == "__main__":
            first, got = call(), []
            try:
                for output in first:
                    got.append(output)
            except ItemFailed as error:
                got += [error.job_id, error.item, error.key, str(error), *error.__notes__]
            states = [(one["key"], one["state"]) for one in first.results()]
            Path("mended").touch()
            print(json.dumps([first.failed, got, states, list(call(retry=True))]))
    """)
    (failed, got, states, mended), said = ours.said()
    assert failed == 1
    assert got[:5] == ["A", 1, 1, "1 b", "job 1, item 1 b: ValueError: broken"]
    assert "in picky" in got[5]
    assert states == [["0 a", "succeeded"], ["1 b", "failed"], ["2 c", "succeeded"]]
    assert mended == ["A", "B", "C"]
    assert sorted(joblot.lines("calls")) == ["a", "b", "b", "c"]
    assert said == ""


def test_a_script_that_is_killed_goes_on_with_the_same_key(script: Write, joblot: Joblot):
    ours = script("""
        if __name__ == "__main__":
            items = ["a", "gate", "b", "c"]
            outputs = joblot.map(gated, items, workers=1, key="night", joblog="l.csv")
            print(json.dumps(list(outputs)))
    """)
    running = ours.start()
    worker = joblot.at_gate()
    joblot.submitted()
    eventually(lambda: joblot.settled() == 1)
    running.kill()
    os.kill(worker, signal.SIGKILL)
    running.communicate()
    joblot.open_gate()
    outputs, _ = ours.said()
    assert outputs == ["a", "gate", "b", "c"]
    assert sorted(joblot.lines("calls")) == ["a", "b", "c", "gate", "gate"]
    assert len(joblot.lines("l.csv")) == 5


def test_ctrl_c_finishes_what_was_begun_and_says_how_to_go_on(script: Write, joblot: Joblot):
    """Also while an event loop is running, as in a notebook."""
    ours = script("""
        async def main():
            return joblot.map(gated, ["a", "gate", "b"], workers=1)

        if __name__ == "__main__":
            try:
                asyncio.run(main())
            except KeyboardInterrupt as error:
                print(json.dumps(error.__notes__))
    """)
    running = ours.start()
    assert running.stderr is not None
    joblot.at_gate()
    joblot.submitted()
    running.send_signal(signal.SIGINT)
    assert any("finishing the items in progress" in line for line in running.stderr)
    joblot.orders_ended()
    joblot.open_gate()
    printed, said = running.communicate(timeout=SECONDS_MAX)
    assert "or with job=1, continues it" in printed, said
    assert joblot.settled() == 2


def test_an_event_loop_may_be_running(script: Write, joblot: Joblot):
    """The first call decides for the process which database it uses."""
    ours = script("""
        async def main():
            return list(joblot.map(upper, ["a", "b"], workers=1, db="own.sqlite3"))

        if __name__ == "__main__":
            outputs = asyncio.run(main())
            try:
                joblot.map(upper, ["a"], workers=1, db="other.sqlite3")
            except InvalidInput as error:
                print(json.dumps([outputs, str(error)]))
    """)
    (outputs, refused), _ = ours.said()
    assert outputs == ["A", "B"]
    assert "this process uses SQLite" in refused
    assert (joblot.folder / "own.sqlite3").exists()
    assert not (joblot.folder / "other.sqlite3").exists()


def test_a_call_that_is_not_under_main_is_refused(script: Write):
    ours = script("""
        def same(item):
            return item

        joblot.map(same, ["a"], workers=1)
    """)
    _, said = ours.said(expect=1)
    assert "put the call under `if __name__ ==" in said
    assert said.count("Traceback") == 1


def test_what_the_items_raise_is_raised_and_the_rest_goes_on(script: Write, joblot: Joblot):
    ours = script("""
        def items(n):
            yield "a"
            if n == 1:
                raise OSError("the disk is gone")
            yield "b"

        if __name__ == "__main__":
            try:
                joblot.map(upper, items(1), workers=1, key="k")
            except OSError as error:
                raised = str(error)
            print(json.dumps([raised, list(joblot.map(upper, items(2), workers=1, key="k"))]))
    """)
    (raised, outputs), _ = ours.said()
    assert raised == "the disk is gone"
    assert outputs == ["A", "B"]


def _of(function: Any) -> Any:
    callee = Callee.of(function)
    return loaded(callee.function, callee.main, callee.pickled)


def test_a_function_is_found_by_its_name():
    assert _of("os.path:join") is os.path.join
    assert Callee.of(json.dumps) == Callee("json:dumps", "json:dumps")
    assert _of(json.dumps) is json.dumps
    assert Callee.of(Fraction.limit_denominator).function == "fractions:Fraction.limit_denominator"


def test_a_function_without_a_module_is_sent_by_value(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("cloudpickle")
    add = 5
    for function in (lambda x: x + add, int(add).__add__):
        assert Callee.of(function).pickled
        assert _of(function)(2) == 7
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(InvalidInput, match="or install cloudpickle"):
        Callee.of(lambda x: x)


def test_a_function_that_can_not_be_sent_is_reported():
    pytest.importorskip("cloudpickle")
    lock = threading.Lock()
    with pytest.raises(InvalidInput, match="can't be pickled: "):
        Callee.of(lambda: lock)
