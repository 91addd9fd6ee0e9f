"""How a person likes the pages: light or dark, local time or UTC, keys or none. Kept in cookies."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

CHOICES = {
    "theme": ("auto", "light", "dark"),
    "clock": ("utc", "local"),
    "keys": ("on", "off"),
}
COOKIE_SECONDS = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Preferences:
    """The first of each choice is the default."""

    theme: str = "auto"
    clock: str = "utc"
    keys: str = "on"


def preferred(request: HttpRequest) -> Preferences:
    given = {name: request.COOKIES.get(cookie(name)) for name in CHOICES}
    return Preferences(**{name: one for name, one in given.items() if one in CHOICES[name]})


def cookie(name: str) -> str:
    return f"joblot_{name}"
