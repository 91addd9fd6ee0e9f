"""From a request to its caller, by the token only. The request's origin does not count: a proxy on
this machine, or a page in a browser, passes on requests of strangers.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja.security import HttpBearer

from joblot.api.long_polling import ViewCall
from joblot.errors import NotAuthenticated
from joblot.identity import rate
from joblot.identity.caller import Caller
from joblot.identity.local import local_caller
from joblot.identity.tokens import authenticate

SCHEMES = ("bearer", "token")


class Bearer(HttpBearer):
    """The authentication that django-ninja runs before each operation."""

    def __call__(self, request: HttpRequest) -> Any:
        return caller_of(request)

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        return authenticate(token)


def caller_of(request: HttpRequest, *, counted: bool = True) -> Caller:
    """The caller; counts the request. Raises NotAuthenticated, TooManyRequests, Unavailable.

    A request that is not `counted` is exempt from rate limiting. A client's request is counted
    once, although each view call that answers it looks up the caller's rights.
    """
    known: Caller | None = getattr(request, "joblot_caller", None)
    if known is None:
        known = _find_caller(request)
        if counted and ViewCall.of(request).is_first:
            rate.spend(known)
        request.joblot_caller = known  # type: ignore[attr-defined]
    return known


def _find_caller(request: HttpRequest) -> Caller:
    header = request.headers.get("Authorization")
    if header is None:
        raise NotAuthenticated(
            "expected `Authorization: Bearer joblot_…`, got none; `joblot token create` makes a "
            "token, and `joblot token local` says where this machine's user has one"
        )
    scheme, _, given = header.partition(" ")
    token = given.strip() if scheme.lower() in SCHEMES else ""
    return local_caller(token) or authenticate(token)
