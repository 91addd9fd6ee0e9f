"""URLs of a project: joblot's under a prefix, and its own views."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from joblot.api.long_polling import ViewCall


@csrf_exempt
def items(request: HttpRequest) -> HttpResponse:
    """Responds with what it was sent, and not in JSON."""
    return HttpResponse(request.body, content_type="text/plain")


def closed(get_response: Callable[[HttpRequest], HttpResponseBase]) -> object:
    """A middleware that responds in place of the views, as during maintenance.

    `Closed` on a request is the status. With `Closed-After` its first page or block is served.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        is_open = "Closed-After" in request.headers and ViewCall.of(request).is_first
        if "Closed" in request.headers and not is_open:
            return HttpResponse("<h1>Back soon</h1>", status=int(request.headers["Closed"]))
        return get_response(request)

    return answer


urlpatterns = [
    path("shop/items", items),
    path("counts/", include("joblot.api.urls")),
    path("counts/", include("joblot.contrib.antenna.urls")),
]
