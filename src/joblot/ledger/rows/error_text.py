"""The text of an error raised by adopters' code, in a form that a database can store."""

from __future__ import annotations

from joblot.config import limits


def error_text(error: BaseException) -> str:
    """The error's type and text, truncated to `error_chars_max`."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an adopter's class, whose __str__ fails)
        text = "its text can't be made"
    text = f"{type(error).__name__}: {text}".replace("\x00", "\ufffd")
    return text.encode("utf-8", "replace").decode()[: limits().error_chars_max]
