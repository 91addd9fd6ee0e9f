"""Errors as `application/problem+json` (RFC 9457), each with the stable code of its class."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse

from joblot.config import limits
from joblot.errors import (
    InvalidInput,
    JoblotError,
    KeyConflict,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotReadable,
    NumberChanged,
    Refused,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from joblot.ledger.db.transactions import translated

logger = logging.getLogger("joblot.api")

# The first class in an error's method resolution order decides.
STATUS: Mapping[type[JoblotError], int] = {
    InvalidInput: 422,
    NotReadable: 400,
    TooLarge: 413,
    Refused: 409,
    KeyConflict: 409,
    NotFound: 404,
    NotAuthenticated: 401,
    NotAllowed: 403,
    Unavailable: 503,
    TooManyRequests: 429,
    JoblotError: 500,
}
TITLES = {
    400: "Not readable",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Not sent in time",
    409: "Refused in this state",
    413: "Too large",
    415: "Media type not supported",
    422: "Invalid input",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}


class ProblemResponse(HttpResponse):
    """The answer that describes an error; `more` are further members of its body."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(status=status, content_type="application/problem+json")
        self._members: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES[status],
            "status": status,
            "code": code,
            "detail": detail,
        }
        self.add(**more)

    @property
    def members(self) -> dict[str, Any]:
        """The members of the body, to be part of another."""
        return dict(self._members)

    def add(self, **more: Any) -> None:
        """Add members to the body."""
        self._members |= more
        text = json.dumps(self._members, ensure_ascii=False)
        self.content = text.encode(errors="backslashreplace")  # for a lone surrogate, as in JSON


def of_error(error: JoblotError) -> ProblemResponse:
    """The answer to an error of joblot's tree."""
    status = next(STATUS[base] for base in type(error).__mro__ if base in STATUS)
    if isinstance(error, TooLarge):
        return ProblemResponse(status, error.code, str(error), limit=error.limit, **_job_of(error))
    if isinstance(error, NumberChanged):
        more = {"expected": error.expected, "found": error.found}
        return ProblemResponse(status, error.code, str(error), **more)
    if isinstance(error, Unavailable):
        return _later(status, error)
    if status == 500:
        return of_unexpected(error)
    answer = ProblemResponse(status, error.code, str(error), **_job_of(error))
    if status == 401:
        answer["WWW-Authenticate"] = 'Bearer realm="joblot"'
    return answer


def _job_of(error: JoblotError) -> dict[str, int]:
    """The job that a failed submission leaves behind, and how many items it has."""
    given = {"job_id": error.job_id, "total": error.total}
    return {name: value for name, value in given.items() if value is not None}


def of_unexpected(error: Exception) -> ProblemResponse:
    """The answer to an unexpected error: it is logged, and the caller gets a code.

    A database error that no verb has translated is translated here: it may be temporary.
    """
    if isinstance(error, Error) and isinstance(known := translated(error), JoblotError):
        return of_error(known)
    logger.error("a request failed", exc_info=error)
    return ProblemResponse(500, "internal", "joblot failed to answer; its log says why")


def of_path(request: HttpRequest, *_: Any, **__: Any) -> ProblemResponse:
    """The answer to an unknown path."""
    return ProblemResponse(404, "not_found", f"there is nothing at {request.path[:200]}")


def _later(status: int, error: Unavailable) -> ProblemResponse:
    seconds = error.retry_after_seconds
    seconds = limits().retry_after_seconds if seconds is None else seconds
    more = {"retry_after_seconds": round(seconds, 3)} | _job_of(error)
    answer = ProblemResponse(status, error.code, str(error), **more)
    answer["Retry-After"] = str(max(1, math.ceil(seconds)))
    return answer
