"""Set a preference without JavaScript: one button of the header, one cookie."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from joblot.web.page import open_page
from joblot.web.paths import next_path
from joblot.web.preferences import CHOICES, COOKIE_SECONDS, cookie


@open_page
@require_POST
def prefer(request: HttpRequest) -> HttpResponseBase:
    response = HttpResponseRedirect(next_path(request))
    for name, choices in CHOICES.items():
        if request.POST.get(name) in choices:
            response.set_cookie(
                cookie(name),
                request.POST[name],
                max_age=COOKIE_SECONDS,
                path=reverse("joblot_web:home"),
                samesite="Lax",
            )
    return response
