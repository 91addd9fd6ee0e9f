"""The file of a run's outputs (`--out`), as JSON lines.

A file is replaced as a whole, and keeps its mode; a link stays, and what it points to is replaced.
A pipe or a device is written through.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from joblot.cli import verbs
from joblot.cli.printable import encodable_json, json_text
from joblot.errors import InvalidInput, Unavailable

STDOUT = "-"


def check(out: str | None) -> None:
    """Raises InvalidInput if it can't be written: before the work begins."""
    if out is None or out == STDOUT:
        return
    target = _target(out)
    if _is_written_through(target):
        good = os.access(target, os.W_OK)
    else:
        good = target.parent.is_dir() and os.access(target.parent, os.W_OK) and not target.is_dir()
    if not good:
        raise InvalidInput(f"--out: {out} can't be written; name a file in a writable folder")


def write(job_id: int, out: str) -> None:
    """Raises BrokenPipeError if nobody reads any more, Unavailable for any other error."""
    try:
        with _opened(out) as file:
            for key, output in verbs.outputs(job_id):
                line = {"key": key, "output": output}
                file.write((encodable_json(line) if out == STDOUT else json_text(line)) + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(
            f"--out: {out} could not be written: {error.strerror or error}; the outputs are kept: "
            f"joblot run --resume {job_id} --out FILE writes them again"
        ) from error


def _target(out: str) -> Path:
    """What it names, behind all links; of a descriptor (`/dev/fd/63`), the descriptor."""
    path = Path(out)
    return path if path.exists() and not path.is_file() else Path(os.path.realpath(out))


def _is_written_through(target: Path) -> bool:
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def _opened(out: str) -> Iterator[IO[str]]:
    target = _target(out)
    if out == STDOUT:
        yield sys.stdout
        sys.stdout.flush()
    elif _is_written_through(target):
        with target.open("w", encoding="utf-8") as file:
            yield file
    else:
        with _replacing(target) as file:
            yield file


@contextmanager
def _replacing(target: Path) -> Iterator[IO[str]]:
    """Write the file atomically: an earlier one stays until the new one is complete."""
    part = Path(f"{target}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
