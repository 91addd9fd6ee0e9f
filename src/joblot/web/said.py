"""What has just been done, kept in the session until the next page shows it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

_KEY = "joblot_said"


def done(request: HttpRequest, text: str, where: str) -> HttpResponse:
    """Lead to the page `where`, which says what was done.

    A dialog's script gets the address: if it followed a redirect, the page that it read, and nobody
    saw, would have said it.
    """
    request.session[_KEY] = text
    if request.headers.get("Joblot-Dialog") is None:
        return HttpResponseRedirect(where)
    return HttpResponse(status=204, headers={"Joblot-Location": where})


def said(request: HttpRequest) -> str:
    """What was said last; "" if it was shown already, or nothing was."""
    session: Any = getattr(request, "session", None)
    return str(session.pop(_KEY, "")) if session is not None and _KEY in session else ""
