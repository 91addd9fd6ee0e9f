"""The commands that the pages show for a server work: they are run against a real one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import JOBLOT, Joblot, joblot, make_joblot
from tests.meta.sources import ROOT
from tests.polling import eventually
from tests.server.process import Serving

__all__ = ["joblot", "make_joblot"]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELLS = ("", "sh", "console")
NAMES_A_SERVER = re.compile(r"(?:localhost|127\.0\.0\.1):8642")

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the pages use curl")


def blocks(page: str) -> Iterator[str]:
    """The blocks of a page that call a server, without their prompts."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, block in BLOCK.findall(text):
        output = "joblot serves" in block
        if language in SHELLS and NAMES_A_SERVER.search(block) and not output:
            yield re.sub(r"^\$ ", "", block, flags=re.MULTILINE)


def curls(page: str) -> Iterator[str]:
    """Each curl command, with its continuation lines."""
    for block in blocks(page):
        yield from re.findall(r"^curl (?:.*\\\n|[^']*?'[^']*'|.)*", block, re.MULTILINE)


class Shell:
    """Runs a command of a page as a reader would, with this server in place of the page's."""

    def __init__(self, joblot: Joblot, server: Serving) -> None:
        self._joblot = joblot
        self._server = server

    def command(self, command: str) -> list[str]:
        there = NAMES_A_SERVER.sub(lambda found: found[0].replace("8642", self.port), command)
        return ["bash", "-c", there]

    @property
    def port(self) -> str:
        return str(self._server.port)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(JOBLOT).parent}:{self._joblot.environment['PATH']}"
        return self._joblot.environment | {"PATH": path}

    def run(self, command: str) -> str:
        done = subprocess.run(
            self.command(command),
            cwd=self._joblot.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, command + done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def shell(joblot: Joblot) -> Iterator[Shell]:
    with Serving(joblot, token=False) as server:
        yield Shell(joblot, server)


def test_two_commands_to_a_job_that_is_worked(joblot: Joblot, shell: Shell) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# photos.py\n(.*?)```", page, re.DOTALL)
    joblot.write("photos.py", code)
    (asked,) = curls("README.md")
    assert json.loads(shell.run(asked))["status"] == "PENDING"
    (block,) = blocks("README.md")
    (work,) = re.findall(r"^joblot worker .*", block, re.MULTILINE)
    worker = subprocess.Popen(
        ["exec " + shell.command(work)[2]],
        shell=True,
        cwd=joblot.folder,
        env=shell.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(joblot.settled)
    finally:
        worker.terminate()
        assert worker.wait(60) == 0


def test_the_protocols_lines_for_curl(joblot: Joblot, shell: Shell) -> None:
    made, streamed, sealed = curls("docs/reference/protocol.md")
    assert json.loads(shell.run(made))["total"] == 2
    for _ in range(6):
        open_job = made.replace('"pipeline": "moths",', '"pipeline": "moths", "seal": false,')
        last = json.loads(shell.run(open_job))
    assert last["id"] == 7, "the number that the page has"
    joblot.write("items.jsonl", '"c.jpg"\n{"key": "d.jpg", "payload": 1}\n')
    assert json.loads(shell.run(streamed)) == {"added": 2, "total": 4}
    assert json.loads(shell.run(sealed))["sealed"]


def test_the_servers_line_for_curl(shell: Shell) -> None:
    (asked,) = curls("docs/how-to/server.md")
    assert json.loads(shell.run(asked))["jobs"] == []


def test_what_the_server_prints_can_be_run(joblot: Joblot) -> None:
    with Serving(joblot, token=False) as server:
        assert server.url
        (line,) = eventually(lambda: [one for one in server.said if "curl" in one])
        shell = Shell(joblot, server)
        assert json.loads(shell.run(line.partition(": ")[2]))["jobs"] == []
