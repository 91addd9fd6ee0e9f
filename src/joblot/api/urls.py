"""Where the API is: `path("", include("joblot.api.urls"))`."""

from __future__ import annotations

from collections.abc import Iterable

from django.urls import URLPattern, URLResolver, include, path, re_path

from joblot.api import counters
from joblot.api.application import api
from joblot.api.edge import edge
from joblot.api.health import healthz, readyz
from joblot.api.metrics import metrics
from joblot.api.problems import of_path


def _edged(patterns: Iterable[URLPattern | URLResolver]) -> list[URLPattern]:
    edged = [pattern for pattern in patterns if isinstance(pattern, URLPattern)]
    for pattern in edged:
        pattern.callback = edge(pattern.callback)
    return edged


counters.watch()
_patterns, _app, _namespace = api.urls

urlpatterns = [
    path("api/v1/", include((_edged(_patterns), _app), namespace=_namespace)),
    re_path(r"^api/v1/", of_path),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", edge(metrics)),
]
