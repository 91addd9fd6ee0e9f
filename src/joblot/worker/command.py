"""A command that does the work on an item. Without a shell, so no payload is ever interpreted.

The command is split into words first; then the placeholders are filled in: `{key}`, `{payload}`,
`{input}`, `{id}`, `{attempt}`; `{job}`, `{run}`, `{stage}`, `{config}`; or a field of the payload,
as in `{path}` or `{image.url}`. Exit code 0 is a success whose output is standard output, 75 asks
for a retry, any other fails the item.

Of an item that is text, `{path}` is the text itself, and `{folder}`, `{name}` and `{stem}` are its
parts as a path: of `a/b.jpg` they are `a`, `b.jpg` and `b`. `{}` is short for `{payload}`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import shutil
import signal
import string
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, Any

from joblot.config import limits
from joblot.errors import InvalidInput, PermanentError, RetryableError
from joblot.shown import shown
from joblot.wire import ClaimedItem
from joblot.worker.current import lease
from joblot.worker.function import USUAL, Work, argument, each, whole
from joblot.worker.retrying import Retrying

TRY_AGAIN = os.EX_TEMPFAIL  # 75, as sysexits.h has it
TAIL_BYTES = 4_000  # of standard error, in the cause
END_SECONDS = 30.0  # for a command to be killed, before it counts as frozen
PARTS: Mapping[str, Callable[[PurePath], str]] = {
    "folder": lambda path: str(path.parent),
    "name": lambda path: path.name,
    "stem": lambda path: path.stem,
}


class ExitCode(PermanentError):
    """The command ended with a code that is neither 0 nor 75, or by a signal."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command with placeholders; after `seconds_max` its process group is killed."""

    words: Sequence[str]
    seconds_max: float

    @classmethod
    def parsed(cls, text: str, seconds_max: float) -> Command:
        """Raises InvalidInput if the command can't be split, filled in, or found."""
        try:
            words = shlex.split(text)
            fields = [_fields(word) for word in words]
        except ValueError as error:
            raise InvalidInput(
                f"command: {error}; expected words with placeholders such as {{path}}, and each "
                "literal brace doubled"
            ) from None
        if not words or fields[0]:
            raise InvalidInput("command: expected a program first, since no payload may choose it")
        if shutil.which(words[0]) is None:
            raise InvalidInput(f"command: there is no program {shown(words[0], 200)} on PATH")
        return cls(words, seconds_max)

    def work(self, retrying: Retrying = USUAL) -> Work:
        return each(self.run, whole, retrying)

    def run(self, item: ClaimedItem) -> Any:
        """Its standard output, as JSON if it is valid JSON, else as text.

        Raises RetryableError, TimeoutError, PermanentError: see `_result_of_one`.
        """
        filled = [_filled(word, item) for word in self.words]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code = _ended(filled, output, errors, self.seconds_max)
            if code == 0:
                return _output(output)
            tail = _tail(errors)
        if code == TRY_AGAIN:
            raise RetryableError(f"exit code {code}, which asks for a retry{tail}")
        raise ExitCode((f"exit code {code}" if code > 0 else f"ended by signal {-code}") + tail)


def _fields(word: str) -> list[str]:
    """The placeholders of a word. Raises ValueError for anything but a plain name."""
    found = []
    for _, name, spec, conversion in string.Formatter().parse(word):
        if name is None:
            continue
        if spec or conversion or (name and not all(name.split("."))):
            raise ValueError(f"{{{name}}} is not a plain placeholder in {shown(word)}")
        found.append(name)
    return found


def _filled(word: str, item: ClaimedItem) -> str:
    pieces = []
    for text, name, _, _ in string.Formatter().parse(word):
        pieces.append(text)
        if name is not None:
            pieces.append(_as_text(_value(name, item)))
    return "".join(pieces)


def _value(name: str, item: ClaimedItem) -> Any:
    first, *rest = name.split(".")
    found: Any = item.payload
    if first in ("", "payload"):
        found = argument(item)
    elif name in ("path", *PARTS) and isinstance(text := argument(item), str):
        return PARTS[name](PurePath(text)) if name in PARTS else text
    elif first in ("id", "key", "input", "attempt"):
        found = getattr(item, first)
    elif first in ("job", "run", "stage", "config"):
        found = getattr(lease(), first)
    else:
        rest = [first, *rest]
    for part in rest:
        if not isinstance(found, Mapping) or part not in found:
            has = ", ".join(found) if isinstance(found, Mapping) else type(found).__name__
            raise PermanentError(f"{{{name}}}: expected {shown(part)} in {has:.300}")
        found = found[part]
    return found


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if "\0" in value:
        raise PermanentError("a payload with the character U+0000 can't be passed to a command")
    return value


def _ended(words: Sequence[str], output: IO[bytes], errors: IO[bytes], seconds_max: float) -> int:
    """Run it in its own session, so that its children end with it; returns the exit code."""
    try:
        process = subprocess.Popen(
            words,
            executable=shutil.which(words[0]),  # else the error may be about another folder on PATH
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    except OSError as error:
        kind = PermanentError if error.errno == errno.E2BIG else RetryableError
        raise kind(f"{words[0]} can't be started: {error.strerror or error}") from error
    try:
        return process.wait(seconds_max)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"killed after {seconds_max:g} s{_tail(errors)}") from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _output(file: IO[bytes]) -> Any:
    size = file.seek(0, os.SEEK_END)
    if size > limits().output_bytes_max:
        raise PermanentError(
            f"expected at most {limits().output_bytes_max} bytes of output, got {size}"
        )
    file.seek(0)
    text = file.read().decode(errors="replace").strip()
    if not text:
        return None
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text


def _not_json(name: str) -> Any:
    raise ValueError(name)


def _tail(file: IO[bytes]) -> str:
    """The end of its standard error."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    text = file.read().decode(errors="replace").strip()
    return f": {text}" if text else ""
