"""Draw docs/images/*.png: the pages of the demo's job, as `joblot demo --serve` shows them."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "images"
JOBLOT = str(Path(sys.executable).with_name("joblot"))
LINK = re.compile(r"(http://127\.0\.0\.1:\d+)/enter/\S+")
SIZE = {"width": 1_280, "height": 800}
PAGES = {"jobs": "/jobs", "job": "/jobs/1"}  # by the name of the picture
THEMES = ("light", "dark")


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo and serve its job; yields the link that it prints."""
    with tempfile.TemporaryDirectory(prefix="joblot-screenshots-") as folder:
        process = subprocess.Popen(
            [JOBLOT, "demo", "--serve"],
            env={"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := LINK.search(line):
                    yield found[0]
                    break
            else:
                raise SystemExit("the demo was not served")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def draw(page: Page, base: str) -> None:
    """The theme is set by the page's own switch."""
    for theme in THEMES:
        for name, path in PAGES.items():
            page.goto(base + path)
            page.get_by_role("button", name=theme.capitalize(), exact=True).click()
            page.wait_for_load_state("networkidle")
            page.mouse.move(0, 0)
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            page.screenshot(path=FOLDER / f"{name}-{theme}.png")
            print(FOLDER / f"{name}-{theme}.png")


def main() -> None:
    with demo() as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(link)
        draw(page, link.partition("/enter/")[0])
        browser.close()


main()
