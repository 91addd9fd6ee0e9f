"""The URLs of `joblot serve` without a Django project: the API and the older fleet's protocol."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("joblot.api.urls")),
    path("", include("joblot.contrib.antenna.urls")),
]
