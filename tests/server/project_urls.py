"""URLs of a project: ours under a prefix, and views of its own beside them."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def items(request: HttpRequest) -> HttpResponse:
    """Answers what it was sent, and not in JSON."""
    return HttpResponse(request.body, content_type="text/plain")


def closed(get_response: Callable[[HttpRequest], HttpResponseBase]) -> object:
    """A middleware that answers instead of the views, as it does while a project is mended."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if "Closed" in request.headers:
            return HttpResponse("<h1>Back soon</h1>", status=int(request.headers["Closed"]))
        return get_response(request)

    return answer


urlpatterns = [
    path("shop/items", items),
    path("counts/", include("joblot.api.urls")),
    path("counts/", include("joblot.contrib.antenna.urls")),
]
