"""The URLs of `joblot serve` without a Django project: the API, the older fleet's, the pages."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("joblot.api.urls")),
    path("", include("joblot.contrib.antenna.urls")),
    path("", include("joblot.web.urls")),
]
