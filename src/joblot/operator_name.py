"""The names of this machine's user, as the actor of changes and the owner of jobs."""

from __future__ import annotations

import getpass

LOCAL = "local"  # over HTTP, by the local token, and on the pages


def operator() -> str:
    """By the command line: the name in the operating system; "" if there is none, as in some
    containers.
    """
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return ""


def own_names() -> tuple[str, ...]:
    """All of them."""
    return tuple(filter(None, (LOCAL, operator())))
