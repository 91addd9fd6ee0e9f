"""Users of the pages, and a browser's requests without a browser."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import Client

from joblot.web.users import add_user

PASSWORD = "tin drum 47"


def person(name: str, role: str = "reader", *projects: str) -> Client:
    """A client in which a new user with this role is signed in; without projects, it is in all."""
    add_user(name, PASSWORD, projects=projects or None, role=role)
    client = browser_like()
    client.force_login(get_user_model().objects.get(username=name))
    return client


def browser_like() -> Client:
    return Client(headers={"accept": "text/html"}, raise_request_exception=False)
