"""What an error of somebody else's code says, as a database can keep it."""

from __future__ import annotations

from joblot.config import limits


def error_text(error: BaseException) -> str:
    """Its type and its text, cut to `error_chars_max`."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 (an adopter's class, whose text can't be made)
        said = "its text can't be made"
    said = f"{type(error).__name__}: {said}".replace("\x00", "\ufffd")
    return said.encode("utf-8", "replace").decode()[: limits().error_chars_max]
