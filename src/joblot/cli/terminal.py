"""What a terminal gets that a pipe or a file does not: wrapped lines, columns, colors."""

from __future__ import annotations

import os
import shutil
import textwrap
from typing import TYPE_CHECKING, TextIO

from joblot.cli.printable import printable, say_on

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Lines:
    """Prints lines, without control codes. A pipe or a file gets each one whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def print(self, line: str, *, soft_wrap: bool = False) -> None:
        """Print a line; wrapped at words on a terminal, unless `soft_wrap` leaves that to it."""
        text = printable(line)
        if not soft_wrap and is_terminal(self._stream):
            columns = shutil.get_terminal_size().columns
            text = textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)
        say_on(self._stream, text)


def console(stream: TextIO) -> Console:
    """For tables and bars; without colors if NO_COLOR is set."""
    from rich.console import Console  # noqa: PLC0415 (slow to load)

    return Console(file=stream, markup=False, highlight=False, emoji=False)
