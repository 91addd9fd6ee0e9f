"""What wraps every page: who is signed in, errors that people can read, and the headers."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.decorators import decorator_from_middleware

from joblot.api.edge import non_atomic
from joblot.api.problems import ProblemResponse, of_error, of_path, of_unexpected
from joblot.errors import JoblotError, NotAllowed, NotAuthenticated
from joblot.ledger.rows.job import read_job
from joblot.models import Job
from joblot.web.paths import came_from
from joblot.web.shell import render, sign_in_url
from joblot.web.visitor import Visitor, visitor_of

logger = logging.getLogger("joblot.web")

View = Callable[..., HttpResponseBase]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
READING = ("GET", "HEAD")
TOO_MANY_REQUESTS = 429


def page(view: View) -> View:
    """Wrap a view for people who are signed in; `request.joblot_caller` is their Visitor.

    A view that shows or changes a job gets it from `require_sight`. Errors of joblot's tree become
    a page with their code. A response may set its own Cache-Control; otherwise it is not stored.
    """
    return _wrapped(_for_visitors(view))


def open_page(view: View) -> View:
    """Wrap a view for anybody: it must show nothing of any job."""
    wrapped = _wrapped(view)
    wrapped.joblot_open = True  # type: ignore[attr-defined]
    return wrapped


def caller_of(request: HttpRequest) -> Visitor:
    """Who is signed in, in a view that is a `page`."""
    caller: Visitor = request.joblot_caller  # type: ignore[attr-defined]
    return caller


def require_sight(request: HttpRequest, job_id: int) -> Job:
    """The job, if the person may see it, and for anything but reading may also operate it.

    Every page, export, stream and picture of a job asks this first. Raises NotFound, as for a job
    that does not exist, or NotAllowed.
    """
    job = read_job(job_id)
    caller = caller_of(request)
    caller.require_sight(job_id, job.project)
    if request.method not in READING:
        caller.require_operator(job.project)
    return job


def _wrapped(view: View) -> View:
    answered = _answered(_with_session(_with_csrf(_answered(view))))

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = answered(request, *args, **kwargs)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return non_atomic(wrapper)


def _for_visitors(view: View) -> View:
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        visitor = visitor_of(request)
        if visitor is None:
            raise NotAuthenticated("expected somebody who is signed in; sign in, and try again")
        request.joblot_caller = visitor  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)

    return wrapper


def _with_session(view: View) -> View:
    """With the project's session and user, or with ours where it has no such middleware.

    So only pages read a session: the API's requests, which are many, don't.
    """

    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if hasattr(request, "session") and hasattr(request, "user"):
            return view(request, *args, **kwargs)
        inner = AuthenticationMiddleware(lambda request: view(request, *args, **kwargs))
        answer: Any = SessionMiddleware(inner)(request)
        return cast(HttpResponseBase, answer)

    return wrapper


class _Csrf(CsrfViewMiddleware):
    """Django's check of forms, whose refusal is a page like ours."""

    def _reject(self, request: HttpRequest, reason: str) -> Any:
        raise NotAllowed(
            f"the form was not accepted ({reason.rstrip('.')}); reload the page, and send it again"
        )


_with_csrf = decorator_from_middleware(_Csrf)


def _answered(view: View) -> View:
    """An error becomes a response."""

    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NotAuthenticated as error:
            if request.method in READING and _wants_page(request):
                return HttpResponseRedirect(sign_in_url(request))
            refused = of_error(error)
            del refused["WWW-Authenticate"]  # a token is of no use here
            return _refusal(request, refused)
        except JoblotError as error:
            return _refusal(request, of_error(error))
        except Http404:
            return _refusal(request, of_path(request))
        except Exception as error:  # noqa: BLE001 (answered, and logged with its traceback)
            return _refusal(request, of_unexpected(error))

    return wrapper


def _wants_page(request: HttpRequest) -> bool:
    """True for a browser that shows the answer; scripts get errors as JSON, like the API's."""
    return "text/html" in request.headers.get("Accept", "")


def _refusal(request: HttpRequest, problem: ProblemResponse) -> HttpResponse:
    request_id = secrets.token_hex(6)
    problem.add(request_id=request_id)
    if problem.status_code >= 500:
        logger.error("request %s to %s failed; see above", request_id, request.path[:200])
    if not _wants_page(request):
        return problem
    details = json.loads(problem.content)
    context = {
        "problem": details,
        "retries": problem.status_code >= 500 or problem.status_code == TOO_MANY_REQUESTS,
        "back": came_from(request),
    }
    response = render(request, "joblot/error.html", context, status=problem.status_code)
    if "Retry-After" in problem.headers:
        response["Retry-After"] = problem["Retry-After"]
    return response
