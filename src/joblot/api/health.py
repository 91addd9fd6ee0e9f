"""Is work being done? Not only: is a process up."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse

from joblot.errors import JoblotError
from joblot.ledger.pulse import overdue, require_database


def healthz(request: HttpRequest) -> JsonResponse:
    """200 if the database answers and the sweep keeps up; 503 with what is wrong."""
    try:
        wrong = overdue()
    except JoblotError as error:
        wrong = [str(error)]
    return _answer(wrong)


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if requests can be served: the database answers, and its tables are there."""
    try:
        require_database()
    except JoblotError as error:
        return _answer([str(error)])
    return _answer([])


def unanswered(seconds: float) -> JsonResponse:
    """What is told where neither of the two has answered within so many seconds."""
    return _answer([f"the database, or every thread, has been busy for {seconds:g} s"])


def _answer(wrong: list[str]) -> JsonResponse:
    body: dict[str, Any] = {"ok": not wrong, "wrong": wrong}
    return JsonResponse(body, status=503 if wrong else 200)
