"""Where a Unix socket may be: no path of one is longer than 107 bytes."""

from __future__ import annotations

import os
import tempfile

PATH_BYTES_MAX = 107
BELOW_BYTES_MAX = 40  # of the names that PostgreSQL or multiprocessing adds, and some more
SHORT = "/tmp"


def short_folder() -> str:
    """The folder for temporary files; /tmp where the path of that one is too long."""
    folder = tempfile.gettempdir()
    fits = len(os.fsencode(folder)) + BELOW_BYTES_MAX <= PATH_BYTES_MAX
    return folder if fits else SHORT
