"""Who runs this command: the actor in the events of what it changes."""

from __future__ import annotations

import getpass


def operator() -> str:
    """The user's name in the operating system; "" if it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""
