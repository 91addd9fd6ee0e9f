"""Does a browser stay responsive while it shows an output of 5 MB?

    python bench/value.py [--db postgres] [--rounds 5]

The page of an item is opened in headless Chromium, its folded output opened and scrolled. Measured
are the longest task of the page's thread from its load on, by the browser's own `longtask` entries
(0: none took 50 ms), and the seconds until the whole output is there.
"""

from __future__ import annotations

import argparse
import shutil
import time
from typing import Any

from figures import figure, write
from listing import Browser, _database
from map import OPTIONS
from playwright.sync_api import BrowserContext, sync_playwright
from served import served

from joblot import standalone

CHARS = 5_000_000
TASK_MS_MAX = 200
LONG_TASKS = """
    window.longest = 0;
    new PerformanceObserver((list) => {
        const found = list.getEntries().map((one) => one.duration);
        window.longest = Math.max(window.longest, ...found);
    }).observe({type: "longtask", buffered: true});
"""
WHOLE = f"document.querySelector('#output-1 ~ .value pre code').textContent.length > {CHARS}"
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with _database(asked.db) as (url, _):
        standalone.setup(url, served=True)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        job = _job()
        with served(url) as (port, _):
            cookies = Browser(port).cookies
            found = _rounds(f"http://127.0.0.1:{port}", job, cookies, asked.rounds)
    _tell(asked.db, found)


def _job() -> int:
    """A job of one item, whose output has half of its characters in one line."""
    from joblot import claim, report, submit
    from joblot.wire import success

    job = submit("huge", ["a"], pipeline="p").pk
    output = {"rows": ["y" * 90] * (CHARS // 180), "blob": "z" * (CHARS // 2)}
    (lease,) = claim("p").leases
    report(lease.token, [success(0, output)])
    return int(job)


def _rounds(base: str, job: int, cookies: dict[str, str], rounds: int) -> list[tuple[float, float]]:
    """For each round, milliseconds of the longest task, and seconds; the first one warms up."""
    found: list[tuple[float, float]] = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        for _ in range(rounds + 1):
            context = browser.new_context(bypass_csp=True)  # for the script that polls
            context.add_cookies([{"name": k, "value": v, "url": base} for k, v in cookies.items()])
            found.append(_once(context, f"{base}/jobs/{job}/items/0"))
            context.close()
            print(f"longest task {found[-1][0]:.0f} ms, {found[-1][1]:.1f} s in all", flush=True)
        browser.close()
    return found[1:]


def _once(context: BrowserContext, address: str) -> tuple[float, float]:
    page = context.new_page()
    page.add_init_script(LONG_TASKS)
    page.goto(address)
    began = time.perf_counter()
    page.get_by_text("Output, stored in a file").click()
    page.wait_for_function(WHOLE, timeout=120_000)
    took = time.perf_counter() - began
    shown = page.locator("#output-1 ~ .value pre")
    for share in (0.3, 0.9, 0.5):
        shown.evaluate("(e, share) => { e.scrollTop = e.scrollHeight * share; }", share)
        page.evaluate(NEXT_FRAME)
    return float(page.evaluate("window.longest")), took


def _tell(db: str, found: list[tuple[float, float]]) -> None:
    size = f"{db}, an output of {CHARS:,} characters: "
    measured: dict[str, Any] = {"longest task ms, seconds": found}
    figures = [
        figure(size + "ms of the longest task", [ms for ms, _ in found], f"<= {TASK_MS_MAX}"),
        figure(size + "seconds until it is shown", [s for _, s in found], "<= 20"),
    ]
    write(f"value_{db}", figures, measured)


if __name__ == "__main__":
    main()
