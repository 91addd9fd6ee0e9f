"""How large a request's body may be, by its path, before anything is known of its caller."""

from __future__ import annotations

from joblot.config import limits

ANTENNA = "/antenna/"


def body_bytes_max(path: str) -> int:
    """Bytes. The older fleet posts whole batches of detections at once, and can't split them.

    A project may have these URLs under a prefix; the view itself allows no more than is its own.
    """
    if ANTENNA in path:
        return limits().antenna_body_bytes_max
    return limits().body_bytes_max
