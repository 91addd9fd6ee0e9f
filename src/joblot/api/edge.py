"""What wraps every view of the API: no transaction of the project, and a bounded body."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.gzip import gzip_page

from joblot.api.auth import caller_of
from joblot.api.body import read_body, takes_stream
from joblot.api.long_polling import ViewCall
from joblot.api.problems import ProblemResponse, of_error, of_path, of_unexpected
from joblot.config import limits
from joblot.errors import JoblotError

View = Callable[..., HttpResponseBase]


def edge(view: View) -> View:
    """Wrap a view: joblot's verbs commit themselves, and answers come after the commit."""

    @gzip_page
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if request.method in ("POST", "PUT", "PATCH"):
                most = caller_of(request).body_bytes_max or limits().body_bytes_max
                if not takes_stream(request.method, request.path_info, request.content_type or ""):
                    request._body = read_body(request, most)  # noqa: SLF001 (where Django keeps it)
            answer = view(request, *args, **kwargs)
        except JoblotError as error:
            answer = of_error(error)
        except Http404:
            answer = of_path(request)
        except Exception as error:  # noqa: BLE001 (answered as a problem, and logged)
            answer = of_unexpected(error)
        if answer.status_code == 405:
            refused = ProblemResponse(405, "method_not_allowed", f"expected {answer['Allow']}")
            refused["Allow"] = answer["Allow"]
            return refused
        return _with_blocks_before(request, answer)

    return bare(wrapper)


def _with_blocks_before(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """Add the sums of the earlier blocks to an error in a stream."""
    before = ViewCall.of(request).blocks_before
    if before and isinstance(answer, ProblemResponse):
        answer.add(added=before.added, lines_before=before.lines)
    return answer


def bare(view: View) -> View:
    """The view without the CSRF check and transaction that Django would put around it."""
    view.csrf_exempt = True  # type: ignore[attr-defined]  # tokens are no cookies
    return non_atomic(view)


def non_atomic(view: View) -> View:
    """The view without the transaction of ATOMIC_REQUESTS: joblot's verbs commit themselves."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
