"""Health checks: whether work is being done, not only whether a process is up.

Without a token, the answer is only up or down, for load balancers. What is wrong is in the log, and
in the answer to a token with the scope read.
"""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, JsonResponse

from joblot.api.auth import caller_of
from joblot.errors import JoblotError
from joblot.identity.caller import Scope
from joblot.ledger.read.pulse import overdue, require_database

logger = logging.getLogger("joblot.api")


def healthz(request: HttpRequest) -> JsonResponse:
    """200 if the database answers and the sweep keeps up; 503 if not."""
    try:
        wrong = overdue()
    except JoblotError as error:
        wrong = [str(error)]
    return _answer(wrong, shown=_may_read(request))


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if requests can be served: the database answers, and its tables are there."""
    try:
        require_database()
    except JoblotError as error:
        return _answer([str(error)], shown=_may_read(request))
    return _answer([], shown=_may_read(request))


def unanswered(seconds: float) -> JsonResponse:
    """The answer when the view has not answered within `seconds`."""
    return _answer([f"the database, or every thread, has been busy for {seconds:g} s"], shown=False)


def _may_read(request: HttpRequest) -> bool:
    """False also if that is unknown because the database is unavailable."""
    try:
        caller_of(request, counted=False).require(Scope.READ)
    except JoblotError:
        return False
    return True


def _answer(wrong: list[str], *, shown: bool) -> JsonResponse:
    if wrong:
        logger.warning("not healthy: %s", "; ".join(wrong))
    body: dict[str, Any] = {"ok": not wrong, **({"wrong": wrong} if shown else {})}
    return JsonResponse(body, status=503 if wrong else 200)
