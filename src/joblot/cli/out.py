"""The file of a run's outputs (`--out`), as JSON lines.

A file grows while the run goes on, in the order in which items end. It is replaced as a whole when
the run begins, and by all outputs in the order of their items when the job has ended. It keeps its
mode; a link stays, and what it points to is replaced. A pipe or a device is written through.
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


def is_file(out: str) -> bool:
    """False for standard output, a pipe and a device."""
    return out != STDOUT and not _is_written_through(_target(out))


def write(job_id: int, out: str) -> None:
    """All outputs. Raises BrokenPipeError if nobody reads any more, Unavailable for any other
    error.
    """
    with as_unavailable(job_id, out), _opened(out) as file:
        for key, output in verbs.outputs(job_id):
            file.write(line_of(out, key, output))


def line_of(out: str, key: str, output: object) -> str:
    line = {"key": key, "output": output}
    return (encodable_json(line) if out == STDOUT else json_text(line)) + "\n"


@contextmanager
def as_unavailable(job_id: int, out: str) -> Iterator[None]:
    """Raise an OSError as Unavailable, with how to write the outputs again."""
    try:
        yield
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
    if not is_file(out):
        with stream(out) as file:
            yield file
        return
    with replacing(out) as file, file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def stream(out: str) -> Iterator[IO[str]]:
    """Standard output, a pipe or a device. A pipe is waited for until it has a reader."""
    if out == STDOUT:
        file = sys.stdout  # of now: a live display replaces it
        yield file
        file.flush()
        return
    with _target(out).open("w", encoding="utf-8") as opened:
        yield opened


@contextmanager
def replacing(out: str) -> Iterator[IO[str]]:
    """A new file, which takes the place of the old one at the end of the block, and stays open."""
    target = _target(out)
    part = Path(f"{target}.part")
    file = part.open("w", encoding="utf-8")
    try:
        if target.exists():
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
        yield file
        part.replace(target)
    except BaseException:
        file.close()
        raise
    finally:
        part.unlink(missing_ok=True)
