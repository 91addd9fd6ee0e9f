"""Reopen standard input, output and error if the caller has closed them (`>&-`)."""

from __future__ import annotations

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
