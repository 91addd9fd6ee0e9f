"""The API as a whole: its routers, its authentication, and how it reports errors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import HttpError, ValidationError

from joblot.api import bulk, insights, items, jobs, live, pipelines, results, upkeep, webhooks, work
from joblot.api.auth import Bearer
from joblot.api.body import API_NAMESPACE, JsonParser
from joblot.api.expected import expected
from joblot.api.openapi import DocumentedAPI
from joblot.api.problems import ProblemResponse, of_error, of_path, of_unexpected
from joblot.errors import JoblotError, NotReadable

api = DocumentedAPI(
    title="joblot",
    version=version("joblot"),
    description="Jobs of many items, counted exactly. Errors are RFC 9457 problems.",
    docs_url=None,  # its page would load scripts from elsewhere
    urls_namespace=API_NAMESPACE,
    auth=Bearer(),
    parser=JsonParser(),
)
api.add_router("", work.router)  # jobs/next before jobs/{id}
api.add_router("", bulk.router)  # jobs/bulk/pause before jobs/{id}/pause
api.add_router("", jobs.router)
api.add_router("", insights.router)
api.add_router("", items.router)
api.add_router("", results.router)
api.add_router("", upkeep.router)
api.add_router("", pipelines.router)
api.add_router("", live.router)
api.add_router("", webhooks.router)


@api.exception_handler(JoblotError)
def _joblot_error(request: HttpRequest, error: Any) -> HttpResponse:
    return of_error(error)


@api.exception_handler(Exception)
def _surprise(request: HttpRequest, error: Any) -> HttpResponse:
    return of_unexpected(error)


@api.exception_handler(Http404)
def _no_path(request: HttpRequest, error: Any) -> HttpResponse:
    return of_path(request)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    """Raised by django-ninja itself, for a body that its parser gave up on."""
    known = error.__cause__ if isinstance(error.__cause__, JoblotError) else None
    return of_error(known or NotReadable(str(error)))


@api.exception_handler(ValidationError)
def _not_valid(request: HttpRequest, error: Any) -> HttpResponse:
    found = [
        {"where": ".".join(map(str, one["loc"][1:])), "what": expected(one)} for one in error.errors
    ]
    detail = "; ".join(f"{one['where']}: {one['what']}" for one in found[:5])
    return ProblemResponse(422, "invalid_input", detail[:2_000], errors=found[:20])
