"""What `joblot serve` serves without a Django project: the API, and an older fleet's protocol."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("joblot.api.urls")),
    path("", include("joblot.contrib.antenna.urls")),
]
