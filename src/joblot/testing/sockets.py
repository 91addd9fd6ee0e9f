"""Where a Unix socket may be placed: its path must not exceed 107 bytes."""

from __future__ import annotations

import os
import tempfile

PATH_BYTES_MAX = 107
BELOW_BYTES_MAX = 40  # for the names that PostgreSQL or multiprocessing appends, with some margin
SHORT = "/tmp"


def short_folder() -> str:
    """The folder for temporary files, or /tmp if its path is too long."""
    folder = tempfile.gettempdir()
    fits = len(os.fsencode(folder)) + BELOW_BYTES_MAX <= PATH_BYTES_MAX
    return folder if fits else SHORT
