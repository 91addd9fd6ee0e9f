"""Standard input, output and error, in whatever state the caller leaves them."""

from __future__ import annotations

import io
import os
import sys


def opened() -> None:
    """Open closed standard descriptors on /dev/null.

    Otherwise the database could get one of their numbers, and prints would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def say_what_can_not_be_encoded() -> None:
    """Let standard output escape a character that its encoding lacks, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
