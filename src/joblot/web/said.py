"""What has just been done, kept in the session until the next page shows it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

_KEY = "joblot_said"


def say(request: HttpRequest, text: str) -> None:
    """The next page shows this once."""
    request.session[_KEY] = text


def said(request: HttpRequest) -> str:
    """What was said last; "" if it was shown already, or nothing was."""
    session: Any = getattr(request, "session", None)
    return str(session.pop(_KEY, "")) if session is not None and _KEY in session else ""
