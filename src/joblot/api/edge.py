"""What every view of the API has around it: no transaction of a project's, and a bounded body."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.gzip import gzip_page

from joblot.api.auth import caller_of
from joblot.api.body import read_body, takes_stream
from joblot.api.problems import of_error, of_path, of_surprise, problem
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
            return of_error(error)
        except Http404:
            return of_path(request)
        except Exception as error:  # noqa: BLE001 (told as a problem, kept in the log)
            return of_surprise(error)
        if answer.status_code == 405:
            refused = problem(405, "method_not_allowed", f"expected {answer['Allow']}")
            refused["Allow"] = answer["Allow"]
            return refused
        return answer

    return bare(wrapper)


def bare(view: View) -> View:
    """The view without what Django would put around it."""
    view.csrf_exempt = True  # type: ignore[attr-defined]  # tokens are no cookies
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
