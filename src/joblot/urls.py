"""The API and the pages, for a Django project: `path("", include("joblot.urls"))`."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("joblot.api.urls")),
    path("", include("joblot.web.urls")),
]
