"""From a request to its caller."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from ninja.security import HttpBearer

from joblot.errors import NotAuthenticated
from joblot.identity import rate
from joblot.identity.caller import LOCAL, Caller
from joblot.identity.tokens import any_token, authenticate

SCHEMES = ("bearer", "token")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


class Bearer(HttpBearer):
    """A token, or none where `settings.JOBLOT_LOCAL` lets this machine's users in without."""

    def __call__(self, request: HttpRequest) -> Any:
        return caller_of(request)

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        return authenticate(token)


def caller_of(request: HttpRequest, *, counted: bool = True) -> Caller:
    """Who asks; counts the request. Raises NotAuthenticated, TooManyRequests, Unavailable.

    What is not `counted` is never one request too many.
    """
    known: Caller | None = getattr(request, "joblot_caller", None)
    if known is None:
        known = _find_caller(request)
        if counted:
            rate.spend(known)
        request.joblot_caller = known  # type: ignore[attr-defined]
    return known


def _find_caller(request: HttpRequest) -> Caller:
    header = request.headers.get("Authorization")
    if header is None:
        return _without_token(request)
    scheme, _, text = header.partition(" ")
    return authenticate(text.strip() if scheme.lower() in SCHEMES else "")


def _without_token(request: HttpRequest) -> Caller:
    """This machine's user, until the first token is made: from then on everybody needs one."""
    if (
        getattr(settings, "JOBLOT_LOCAL", False)
        and _is_loopback(request.META.get("REMOTE_ADDR", ""))
        and not any(name in request.headers for name in _FORWARDED)
        and _is_to_this_machine(request)
        and not _is_from_a_foreign_page(request)
        and not any_token()
    ):
        return LOCAL
    raise NotAuthenticated(
        "expected `Authorization: Bearer joblot_…`, got none; `joblot token create` makes a token"
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_to_this_machine(request: HttpRequest) -> bool:
    """False for another name that was made to point here, whose page would read the answer."""
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


def _is_from_a_foreign_page(request: HttpRequest) -> bool:
    """True if a browser sent this for a page of somebody else's."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.get_host()}":
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
