"""Render a template inside the shell that all pages share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.template.backends.django import DjangoTemplates
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from joblot.identity.caller import Scope
from joblot.web.preferences import preferred
from joblot.web.projects import project_menu
from joblot.web.said import said

TEMPLATES = Path(__file__).parent / "templates"


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """A page. `context` may name `title`, and `here`: the entry of the navigation that it is."""
    caller = getattr(request, "joblot_caller", None)
    shared = {
        "caller": caller,
        "administers": caller is not None and Scope.ADMIN in caller.scopes,
        "projects": None,
        "prefer": preferred(request),
        "version": version("joblot"),
        "here": "",
        "now": f"{time.time():.3f}",
        "loaded_at": datetime.now(UTC),
        "path": request.get_full_path(),
        "address": _address(request),
        "said": said(request),
    }
    if caller and "problem" not in context:  # which may be that the database does not answer
        shared["projects"] = project_menu(request, caller, _project_of(context))
    content = _engine().get_template(template).render({**shared, **context}, request)
    return HttpResponse(content, status=status)


def _address(request: HttpRequest) -> str:
    """The page's address, for print; without the host if this is not one of the project's."""
    try:
        return request.build_absolute_uri()
    except DisallowedHost:
        return request.get_full_path()


def _project_of(context: Mapping[str, Any]) -> str:
    """The project of the job that the page is about; "" for any other page."""
    job = context.get("job")
    return str(job["project"]) if isinstance(job, Mapping) and "project" in job else ""


def sign_in_url(request: HttpRequest) -> str:
    """The project's own page for signing in, if there is one; otherwise joblot's."""
    own = _login_url() or reverse("joblot_web:sign_in")
    return f"{own}?{urlencode({'next': request.get_full_path()})}"


def _login_url() -> str | None:
    try:
        url = resolve_url(settings.LOGIN_URL)
        if url.startswith("/"):
            resolve(url)
    except (NoReverseMatch, Resolver404):
        return None
    return url


# Threads: a cache; at worst two threads make the same engine, which Django's own threads share too.
@cache
def _engine() -> DjangoTemplates:
    """joblot's own, so that a project's settings for templates neither matter nor need a change."""
    return DjangoTemplates(
        {
            "NAME": "joblot",
            "DIRS": [TEMPLATES],
            "APP_DIRS": False,
            "OPTIONS": {
                "builtins": ["joblot.web.templatetags.joblot"],
                "debug": settings.DEBUG,
            },
        }
    )
