"""How soon does a browser show the picture of a million items?

    python bench/map.py [--db postgres] [--items 1000000] [--rounds 5]

A page of the picture is opened again and again, in headless Chromium. From the request of the
picture until it is painted, by `performance.measure`; and the size of the response. The server
builds the picture with the first page and keeps it until it changes, so the seconds until that page
is there are given, too, with the server's largest memory.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from figures import figure, write
from listing import Browser, _database
from picture import _job
from playwright.sync_api import Page, sync_playwright
from served import served

from joblot import standalone

OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
PAINTED = "performance.getEntriesByName('joblot-map-painted').map(one => one.duration)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with _database(asked.db) as (url, _):
        standalone.setup(url, served=True)
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        job = _job(asked.items)
        with served(url) as (port, pid):
            cookies = Browser(port).cookies
            base = f"http://127.0.0.1:{port}"
            found = _painted(f"{base}/jobs/{job}/map", base, cookies, asked.rounds)
            memory = _peak_mb(pid)
    _tell(asked, found, memory)


def _painted(
    address: str, base: str, cookies: dict[str, str], rounds: int
) -> list[tuple[float, int]]:
    """For each round, milliseconds and bytes; the first one warms up."""
    found: list[tuple[float, int]] = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        for _ in range(rounds + 1):
            context = browser.new_context()
            context.add_cookies([{"name": k, "value": v, "url": base} for k, v in cookies.items()])
            found.append(_once(context.new_page(), address))
            context.close()
            print(f"painted after {found[-1][0]:.0f} ms, {found[-1][1]:,} bytes", flush=True)
        browser.close()
    return found


def _once(page: Page, address: str) -> tuple[float, int]:
    with page.expect_request_finished(lambda one: "map.bin" in one.url, timeout=300_000) as sent:
        page.goto(address)
    page.wait_for_selector("[data-map][data-shown]", timeout=300_000)
    (took,) = page.evaluate(PAINTED)
    return float(took), sent.value.sizes()["responseBodySize"]


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000


def _tell(asked: Any, found: list[tuple[float, int]], memory: float) -> None:
    size = f"{asked.db}, {asked.items:,} items: "
    built, *later = (ms for ms, _ in found)
    figures = [
        figure(size + "ms from the request to the paint", later, "<= 1000"),
        figure(size + "the same at the first visit, which also builds it", [built], "<= 10000"),
        figure(size + "bytes of the response", [float(found[-1][1])], f"<= {asked.items * 2 // 5}"),
        figure(size + "most memory of the server, MB", [memory], "<= 1000"),
    ]
    name = f"map_{asked.db}" + ("" if asked.items == 1_000_000 else f"_{asked.items}")
    write(name, figures, {"ms and bytes": found, "peak MB": memory})


if __name__ == "__main__":
    main()
