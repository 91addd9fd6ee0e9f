"""What wraps every view of the older protocol: authentication, and errors as its client expects.

It expects statuses that it knows, with a text in `detail`, which joblot's problems have anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from joblot.api.auth import caller_of
from joblot.api.edge import bare
from joblot.api.problems import ProblemResponse, of_error, of_unexpected
from joblot.errors import JoblotError
from joblot.identity.caller import Scope

Answering = Callable[..., dict[str, Any] | HttpResponse]


def edge(
    *, status: int = 200, counted: bool = True, **methods: Answering
) -> Callable[..., HttpResponseBase]:
    """A Django view; each function gets the request and its caller, which has the scope work."""

    def view(request: HttpRequest, **path: str) -> HttpResponseBase:
        answering = methods.get(request.method or "")
        if answering is None:
            refused = ProblemResponse(405, "method_not_allowed", f"expected {', '.join(methods)}")
            refused["Allow"] = ", ".join(methods)
            return refused
        try:
            caller = caller_of(request, counted=counted)
            caller.require(Scope.WORK)
            answer = answering(request, caller, **path)
        except JoblotError as error:
            return _known(of_error(error), error)
        except Exception as error:  # noqa: BLE001 (answered as a problem, and logged)
            return of_unexpected(error)
        return answer if isinstance(answer, HttpResponse) else JsonResponse(answer, status=status)

    return bare(view)


def _known(answer: HttpResponseBase, error: JoblotError) -> HttpResponseBase:
    return ProblemResponse(400, error.code, str(error)) if answer.status_code == 422 else answer
