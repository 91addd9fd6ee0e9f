"""joblot, called directly: `joblot run` with two worker processes.

`submit` only writes the file of items: the command submits them while its workers already work.
Tuned: the function takes lists (`--batch`), docs/how-to/worker.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from joblot_work import FUNCTION
from note import BATCH, DATABASE_URL, ITEMS

os.environ["JOBLOT_DATABASE_URL"] = DATABASE_URL


def joblot(*arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "joblot.cli", *arguments])


def prepare() -> None:
    joblot("migrate")


def submit() -> None:
    with Path("lines").open("w") as file:
        file.writelines(f"{number}\n" for number in range(ITEMS))


def drain() -> None:
    """After a crash, continue as the command itself says."""
    batch = ["--batch", str(BATCH)] if BATCH else []
    what, lines = [FUNCTION, *batch], ["--lines", "lines"]
    if Path("started").exists():
        what, lines = ["--resume", "1"], [] if _sealed() else lines
    Path("started").touch()
    joblot("run", *what, *lines, "--workers", "2")


def _sealed() -> bool:
    command = [sys.executable, "-m", "joblot.cli", "show", "1", "--json"]
    shown = subprocess.run(command, check=True, capture_output=True).stdout
    return bool(json.loads(shown)["sealed"])


if __name__ == "__main__":
    {"prepare": prepare, "submit": submit, "drain": drain}[sys.argv[1]]()
