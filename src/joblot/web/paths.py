"""Addresses of pages: of the list of jobs, and where a form may send its sender back to."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


def next_path(request: HttpRequest) -> str:
    """The path that the request names as `next`, or the first page; never another site."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    if given.startswith("/") and url_has_allowed_host_and_scheme(given, allowed_hosts=None):
        return given
    return reverse("joblot_web:jobs")


def came_from(request: HttpRequest) -> str:
    """The path of the page from which a link led here; "" if it is not one of this server's."""
    try:
        given, here = urlsplit(request.headers.get("Referer", "")), request.get_host()
    except (ValueError, DisallowedHost):
        return ""
    if not given.path.startswith("/") or given.netloc != here:
        return ""
    path = given._replace(scheme="", netloc="", fragment="").geturl()
    known = url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if known and path != request.get_full_path() else ""


def jobs_url(given: Mapping[str, str], name: str = "joblot_web:jobs") -> str:
    """The address of the list with these parameters; a comma in a list stays readable."""
    kept = {name: value for name, value in given.items() if value}
    where = reverse(name)
    return f"{where}?{urlencode(kept, safe=',')}" if kept else where
