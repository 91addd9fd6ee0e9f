"""Addresses of pages: of the list of jobs, and where a form may send its sender back to."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


def next_path(request: HttpRequest) -> str:
    """The path that the request names as `next`, or the first page; never another site."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    if given.startswith("/") and url_has_allowed_host_and_scheme(given, allowed_hosts=None):
        return given
    return reverse("joblot_web:jobs")


def jobs_url(given: Mapping[str, str], name: str = "joblot_web:jobs") -> str:
    """The address of the list with these parameters; a comma in a list stays readable."""
    kept = {name: value for name, value in given.items() if value}
    where = reverse(name)
    return f"{where}?{urlencode(kept, safe=',')}" if kept else where
