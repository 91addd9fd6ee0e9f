"""Sign in with a name and a password, and sign out."""

from __future__ import annotations

from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from joblot.errors import TooManyRequests
from joblot.web import throttle
from joblot.web.page import open_page
from joblot.web.paths import next_path
from joblot.web.shell import render

NAME_CHARS_MAX = 150  # of Django's users
PASSWORD_CHARS_MAX = 4_096  # a longer one would only cost time to hash


@open_page
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The form, and what it sends. A wrong name and a wrong password get the same answer."""
    if request.method != "POST":
        return _form(request)
    name = request.POST.get("name", "")[:NAME_CHARS_MAX]
    try:
        throttle.spend(name)
    except TooManyRequests as error:
        response = _form(request, name=name, wrong=str(error), status=429)
        response["Retry-After"] = str(max(1, round(error.retry_after_seconds or 1)))
        return response
    password = request.POST.get("password", "")[:PASSWORD_CHARS_MAX]
    user = authenticate(request, username=name, password=password)
    if user is None:
        return _form(request, name=name, wrong="No user has this name and password.", status=401)
    throttle.forgive(name)
    request.session.clear_expired()
    login(request, user)
    return HttpResponseRedirect(next_path(request))


@open_page
@require_POST
def sign_out(request: HttpRequest) -> HttpResponseBase:
    """End the session."""
    logout(request)
    return HttpResponseRedirect(reverse("joblot_web:sign_in"))


def _form(
    request: HttpRequest, *, name: str = "", wrong: str = "", status: int = 200
) -> HttpResponseBase:
    context = {"title": "Sign in", "name": name, "wrong": wrong, "next": next_path(request)}
    return render(request, "joblot/sign_in.html", context, status=status)
