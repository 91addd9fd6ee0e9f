"""The crew: children that begin together, are killed or replaced, and end together."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import Unavailable
from joblot.testing.crew import Crew

MODULE = "tests.testing.echo"


def task(name: str, tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"name": name, "setup": {"path": str(tmp_path / "data" / "db.sqlite3")}, **more}


def test_all_get_the_word_and_end_when_the_parent_hangs_up(tmp_path: Path) -> None:
    with Crew(MODULE, [task("a", tmp_path), task("b", tmp_path)]) as crew:
        crew.begin(job=7)
        assert [child.receive() for child in crew.children] == [
            {"name": "a", "job": 7},
            {"name": "b", "job": 7},
        ]
        assert not any(child.ended for child in crew.children)
        assert crew.end() == {"a": 0, "b": 0}
        assert [child.receive() for child in crew.children] == [None, None]


def test_one_that_is_killed_has_ended_and_is_replaced(tmp_path: Path) -> None:
    with Crew(MODULE, [task("a", tmp_path)]) as crew:
        crew.begin(job=7)
        (first,) = crew.children
        first.receive()
        first.kill()
        assert (first.ended, first.wait(), first.receive(), first.receive()) == (
            True,
            -signal.SIGKILL,
            None,
            None,
        )
        first.send(nobody="hears")
        second = crew.replace(first, task("b", tmp_path), job=8)
        assert second.receive() == {"name": "b", "job": 8}
        assert crew.end() == {"b": 0}


def test_one_that_ends_before_it_begins_is_reported_with_its_exit_code(tmp_path: Path) -> None:
    crew = Crew(MODULE, [task("a", tmp_path, fails=True)])
    with pytest.raises(Unavailable, match="a ended before it began, with 1"), crew:
        crew.begin(job=7)
