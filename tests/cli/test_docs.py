"""The pages on the command line are correct: their commands are run, and none is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from joblot.cli.app import app
from tests.meta.sources import ROOT

BLOCK = re.compile(r"```(python|console)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ ", re.MULTILINE)
SECTION = re.compile(r"^## `joblot ?(\S*)[^`]*`\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def _steps(page: str) -> Iterator[tuple[str, str]]:
    """("file", its text) and ("command", with its expected output), in order."""
    for kind, text in BLOCK.findall(page):
        if kind == "python":
            yield "file", text
        else:
            yield from (
                ("command", part) for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
            )


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path):
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JOBLOT_", "DJANGO_"))}
    path = f"{Path(sys.executable).parent}:{ours['PATH']}"
    environment = ours | {"PATH": path, "XDG_DATA_HOME": str(tmp_path / "data")}
    for kind, text in _steps((ROOT / "docs/tutorials/command-line.md").read_text(encoding="utf-8")):
        first, _, rest = text.partition("\n")
        if kind == "file":
            (tmp_path / first.removeprefix("# ")).write_text(rest)
            continue
        done = subprocess.run(
            ["bash", "-c", first],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{first}\n{done.stdout}"
        missing = [line for line in rest.splitlines() if line not in done.stdout]
        assert missing == [], f"{first}\n{done.stdout}"


def _commands() -> dict[str, set[str]]:
    group = get_command(app)
    parts = {name: _options(part) for name, part in group.commands.items()}  # type: ignore[attr-defined]
    return {"": _own_options(group), **parts}


def _options(command: Any) -> set[str]:
    """A command's options; of a group like `joblot token`, also those of its commands."""
    parts = getattr(command, "commands", {}).values()
    return _own_options(command).union(*map(_options, parts))


def _own_options(command: Any) -> set[str]:
    return {option for param in command.params for option in param.opts if option[0] == "-"}


def test_the_help_and_the_reference_say_that_item_numbers_begin_at_0():
    (option,) = (one for one in get_command(app).commands["logs"].params if one.name == "item")  # type: ignore[attr-defined]
    assert "first item is 0" in option.help
    assert "The first item of a job has the number 0." in (
        ROOT / "docs/reference/cli.md"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", _commands())
def test_every_command_and_option_is_in_the_reference(command: str):
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r"^## `joblot ?(\S*)[^`]*`\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    )
    assert command in sections, f"docs/reference/cli.md has no section for {command}"
    documented = set(re.findall(r"`(--?[a-z-]+)", sections[command]))
    common = {"--db", "--url", "--json", "--help", "-h"}
    assert _commands()[command] - common <= documented
    assert documented - common <= _commands()[command], "the page knows more than the command"


def test_the_reference_knows_no_other_command():
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert {name for name, _ in SECTION.findall(page)} == set(_commands())
