"""How large a request's body may be, by its path, before its caller is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpResponseBase
from django.urls import Resolver404, resolve

from joblot.config import limits

V = TypeVar("V", bound=Callable[..., HttpResponseBase])

_OWN_MAX = "joblot_body_bytes_max"  # the attribute of a view that has its own limit


def takes_body_of(bytes_max: Callable[[], int]) -> Callable[[V], V]:
    """Let a view's body be as large as `bytes_max()`, if `body_bytes_max` is too small.

    The view itself must refuse a body that is larger than its caller may send.
    """

    def mark(view: V) -> V:
        setattr(view, _OWN_MAX, bytes_max)
        return view

    return mark


def body_bytes_max(path_info: str, length: int | None) -> int:
    """The most bytes that the view at this path accepts. URLs may be mounted under any prefix.

    `length` is the body's, None if it is unknown. Most are small and skip the URL resolution, which
    takes 50 µs.
    """
    usual = limits().body_bytes_max
    if length is not None and length <= usual:
        return usual
    try:
        view = resolve(path_info).func
    except Resolver404:
        return usual
    own: Callable[[], int] | None = getattr(view, _OWN_MAX, None)
    return own() if own else usual
