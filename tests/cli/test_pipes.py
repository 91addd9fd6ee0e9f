"""Standard output whose reader goes away or does not read."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import JOBLOT, Joblot

ITEMS = "".join(f"a-rather-long-key-of-an-item-{n}\n" for n in range(2_000))


@pytest.mark.parametrize(
    "command", [["items", "1", "--limit", "1000"], ["items", "1", "--json"], ["jobs"]]
)
def test_a_reader_that_goes_away_ends_a_command_as_a_signal_would(
    joblot: Joblot, command: list[str]
) -> None:
    """Silently, whether the output exceeds a buffer or is only written at the end."""
    joblot("submit", "many", "--pipeline", "p", "--lines", joblot.write("names", ITEMS))
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [JOBLOT, *command],
        cwd=joblot.folder,
        env=joblot.environment,
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_full_disk_is_reported_once(joblot: Joblot) -> None:
    joblot("migrate")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [JOBLOT, "jobs"],
            cwd=joblot.folder,
            env=joblot.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, "No space left" in line) == (4, True)
