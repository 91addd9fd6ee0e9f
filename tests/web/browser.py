"""Chromium, one for all tests of a process, driven by Playwright; and what every page must keep."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from joblot.entry import make_entry
from tests.polling import eventually

REQUIRED = "JOBLOT_BROWSER"  # in the environment: "required" makes a missing browser an error
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
INSTALL = "install it (Debian: apt-get install chromium-headless-shell)"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    # A window costs half as much CPU without what no test is about.
    "--disable-back-forward-cache",
    "--disable-breakpad",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--in-process-gpu",
    "--mute-audio",
    "--process-per-site",
    "--renderer-process-limit=1",
)
WIDE, NARROW = 1280, 360
HEIGHT = 800
THEMES = ("light", "dark")
FIND_VIOLATIONS = "axe.run({resultTypes: ['violations']})"


def find() -> str:
    """The browser's path; without one, the test is skipped, or fails where one is required."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"Chromium is missing; {INSTALL}")
    pytest.skip(f"NO BROWSER: the pages are not tested; {INSTALL}")


@contextmanager
def running() -> Iterator[str]:
    """A headless Chromium; yields the address by which Playwright connects."""
    path = find()
    with tempfile.TemporaryDirectory(prefix="joblot-chromium-", ignore_cleanup_errors=True) as home:
        command = [path, *OPTIONS, f"--user-data-dir={home}", "about:blank"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(home),
            start_new_session=True,
        )
        try:
            port = eventually(lambda: _port(Path(home) / "DevToolsActivePort"))
            yield f"http://127.0.0.1:{port}"
        finally:
            # The group: the command may be a script that waits for the browser.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


class Client:
    """Playwright's client, one for all tests of a process: to start one takes 0.8 s of CPU.

    Its event loop is suspended in a greenlet of the thread that made it. asyncio and Django would
    take it for running, also in tests without a browser, so it is hidden outside of `shown`.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._loop = asyncio.get_running_loop()
        self.hide()

    @contextmanager
    def shown(self) -> Iterator[Browser]:
        """Playwright may be called inside the block, in this thread."""
        self.show()
        try:
            yield self._browser
        finally:
            self.hide()

    def show(self) -> None:
        asyncio._set_running_loop(self._loop)

    def hide(self) -> None:
        asyncio._set_running_loop(None)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    with sync_playwright() as playwright:
        client = Client(playwright.chromium.connect_over_cdp(address))
        yield client
        client.show()


def _environment(home: str) -> dict[str, str]:
    """Without a proxy of this machine, which the browser would ask even for loopback."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {**kept, "HOME": home, "TZ": "Europe/Madrid"}


def _port(file: Path) -> int | None:
    lines = file.read_text().splitlines() if file.exists() else []
    return int(lines[0]) if lines else None


class Visit:
    """A person's browser window: cookies of its own, and a record of what went wrong in it."""

    def __init__(self, browser: Browser, url: str, **how: Any) -> None:
        self.url = url
        how.setdefault("viewport", {"width": WIDE, "height": HEIGHT})
        self.context: BrowserContext = browser.new_context(base_url=url, **how)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self._allowed: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._request)

    def enter(self, token_file: Path) -> Page:
        """Sign in as this machine's user, by a link as `joblot open` prints it."""
        self.page.goto(f"/enter/{make_entry(token_file)}")
        assert self.page.url == f"{self.url}/jobs"
        return self.page

    def sign_in(self, name: str, password: str) -> Page:
        self.page.goto("/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        return self.page

    def allow(self, pattern: str) -> None:
        """Expect messages of the console that match, e.g. of an answer with status 404."""
        self._allowed.append(pattern)

    def close(self) -> None:
        """Close the window. Nothing else may have gone wrong in it."""
        self.context.close()
        found = [one for one in self.wrong if not any(re.search(a, one) for a in self._allowed)]
        assert found == []

    def _console(self, message: ConsoleMessage) -> None:
        """Also where the browser reports what the content security policy has blocked."""
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.wrong.append(f"a request to {request.url}")


def check_page(page: Page) -> None:
    """What every page keeps, in both themes and two widths: no violation that axe knows, nothing
    to scroll sideways, no style in the HTML.
    """
    before = page.viewport_size
    page.evaluate(AXE_SCRIPT)
    for theme in THEMES:
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        for width in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            found = AxeResults(page.evaluate(FIND_VIOLATIONS))
            assert not found.violations_count, f"{theme}, {width} px: {found.generate_report()}"
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{page.url} is {over} px too wide at {width} px"
    if before:
        page.set_viewport_size(before)
    html = page.request.get(page.url).text()
    assert not re.search(r"<[^>]* style=|<style|<script(?![^>]* src=)| on[a-z]+=", html)
