"""Pages in a browser, on a server in this process; after each test, every job is audited."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from joblot.ledger.read.pictures import PICTURES
from joblot.local import ACCEPTED
from tests.cli.conftest import joblot, make_joblot
from tests.ledger.conftest import caches_kept, configure, exact, own_hooks
from tests.server.conftest import http, local, served
from tests.server.served import Served
from tests.web import browser as chromium

__all__ = [
    "caches_kept",
    "configure",
    "exact",
    "http",
    "joblot",
    "local",
    "make_joblot",
    "own_hooks",
    "served",
]

expect.set_options(timeout=20_000)  # of milliseconds: on a busy machine, 5,000 are too few


@pytest.fixture(autouse=True)
def own_pictures() -> None:
    """A test's job may have the number of an earlier test's, whose picture is not its own."""
    PICTURES._kept.clear()


@pytest.fixture(scope="session")
def chromium_address() -> Iterator[str]:
    """One browser per test process; it is skipped, loudly, where there is none."""
    with chromium.running() as address:
        yield address


@pytest.fixture(scope="session")
def client_of_chromium(chromium_address: str) -> Iterator[chromium.Client]:
    with chromium.connected(chromium_address) as client:
        yield client


@pytest.fixture
def browser(
    client_of_chromium: chromium.Client, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """Chromium. While a test uses it, this thread has an event loop.

    The loop never runs beside the test's own code, so the test may use Django's ORM.
    """
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with client_of_chromium.shown() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Callable[..., chromium.Visit]]:
    """`visit()` is a new browser window; options are those of Playwright's `new_context`."""
    opened: list[chromium.Visit] = []

    def open_one(**how: Any) -> chromium.Visit:
        opened.append(chromium.Visit(browser, served.url, **how))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def token_file(local: None) -> Path:
    """The local token that the server accepts; a link is made beside it."""
    return Path(os.environ[ACCEPTED])


@pytest.fixture
def page(visit: Callable[..., chromium.Visit], token_file: Path) -> Page:
    """A window in which this machine's user is signed in."""
    return visit().enter(token_file)
