"""A Django project that serves joblot under a prefix, and has a page of its own for signing in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def sign_in(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the project's own page")


urlpatterns = [
    path("counts/", include("joblot.urls")),
    path("members/sign-in", sign_in, name="members"),
]
