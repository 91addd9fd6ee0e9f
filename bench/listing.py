"""How long is a page of 100,000 jobs, and what do the counts beside it cost?

    python bench/listing.py [--db postgres] [--jobs 100000]

Walks the list by its links, as a browser does, from the first page to the last: each job must be on
one page. Measures the time to the first byte of each page, and the CPU time of the server and of
PostgreSQL. 20 jobs each have the same time of creation. Then, in random order, the counts of
filters, which a page asks for once its rows are there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from figures import figure, write
from served import served
from viewers import _cpu

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BYTE_MS_MAX = 150
ROUNDS = 5  # of the counts
COUNTED = {
    "all": "",
    "of a project": "?project=project+7",
    "of a part of the name": "?q=999",
    "of a pipeline": "?pipeline=p1",
    "of a day": "?since=1d",
}
NUMBERS = {
    "postgresql": "SELECT generate_series(1, {0}) AS n",
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {0}) "
    "SELECT n FROM c",
}
MOMENT = {
    "postgresql": "now() - (n / 20) * interval '1 s'",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '-' || (n / 20) || ' seconds')",
}
STATUS = (
    "CASE WHEN n % 100 < 60 THEN 'SUCCESS' WHEN n % 100 < 70 THEN 'FAILURE' WHEN n % 100 < 85 "
    "THEN 'COMPLETED_WITH_ERRORS' WHEN n % 100 < 95 THEN 'CREATED' ELSE 'STARTED' END"
)
Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--jobs", type=int, default=100_000)
    asked = parser.parse_args()
    with _database(asked.db) as (url, postmaster):
        standalone.setup(url, served=True)
        made = _jobs(asked.jobs)
        with served(url) as (port, pid):
            browser = Browser(port)
            walked = _walk(browser, (pid, postmaster), made)
            counts = _counts(browser)
    _tell(asked.db, asked.jobs, walked, counts)


@contextmanager
def _database(db: str) -> Iterator[tuple[str, int]]:
    if db == "postgres":
        with PostgresServer() as server:
            pid = (server.data_dir / "postmaster.pid").read_text().split()[0]
            yield server.create_database("bench"), int(pid)
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.sqlite3'}", -1


def _jobs(jobs: int) -> set[int]:
    from django.core.management import call_command
    from django.db import connection

    from joblot import submit

    call_command("migrate", verbosity=0)
    first = submit("template", ["one"], pipeline="p").pk
    vendor = connection.vendor
    numbers = NUMBERS[vendor].format(jobs - 1)
    kept = "owner, priority, run, revision, version, sealed, total, policy, recorded"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO joblot_job (id, name, project, created_at, status, {kept}) "
            f"SELECT {first} + n, 'job ' || n, 'project ' || n % 20, "
            f"{MOMENT[vendor].replace('%%', '%')}, {STATUS}, {kept} "
            f"FROM joblot_job, ({numbers}) s WHERE id = {first}"
        )
        cursor.execute(
            "INSERT INTO joblot_stage (job_id, position, name, pipeline) "
            f"SELECT {first} + n, 0, 'main', 'p' || n % 3 FROM ({numbers}) s"
        )
        cursor.execute("VACUUM ANALYZE" if vendor == "postgresql" else "ANALYZE")
    return set(range(first, first + jobs))


class Browser:
    """Signed in, on one connection."""

    def __init__(self, port: int) -> None:
        from joblot.web.users import add_user

        add_user("ana", "a long passphrase", projects=None, role="reader")
        self._http = http.client.HTTPConnection("127.0.0.1", port)
        self.cookies: dict[str, str] = {}
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get("/sign-in")[0])
        assert token
        form = {"name": "ana", "password": "a long passphrase", "csrfmiddlewaretoken": token[1]}
        self.get("/sign-in", urlencode(form))

    def get(self, path: str, form: str | None = None) -> tuple[str, float]:
        """The body, and the milliseconds to its first byte."""
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.perf_counter()
        self._http.request("POST" if form else "GET", path, form, headers)
        answer = self._http.getresponse()
        first = answer.read(1)
        took = (time.perf_counter() - began) * 1000
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        assert answer.status < 400, (answer.status, path)
        return (first + answer.read()).decode(), took


def _walk(browser: Browser, pids: tuple[int, int], made: set[int]) -> Json:
    path, found, took = "/jobs", [], []
    before = _cpu(pids)
    while path:
        body, ms = browser.get(path)
        found += map(int, re.findall(r'<tr data-row data-job="(\d+)"', body))
        took.append(ms)
        link = re.search(r'href="([^"]+)" rel="next"', body)
        path = unescape(link[1]) if link else ""
    cpu = (_cpu(pids) - before) * 1000 / len(took)
    assert sorted(found) == sorted(made), "a job is missing, or on two pages"
    took.sort()
    print(
        f"{len(took)} pages, at most {took[-1]:.0f} ms, {cpu:.0f} ms of CPU time each", flush=True
    )
    return {
        "pages": len(took),
        "first byte, ms": {
            "p50": took[len(took) // 2],
            "p99": took[len(took) * 99 // 100],
            "max": took[-1],
            "over 150": sum(one > BYTE_MS_MAX for one in took),
        },
        "cpu ms": cpu,
    }


def _counts(browser: Browser) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in COUNTED}
    for _ in range(ROUNDS):
        for name in random.sample(list(COUNTED), len(COUNTED)):
            body, ms = browser.get(f"/jobs/counts{COUNTED[name]}")
            assert json.loads(body)
            found[name].append(ms)
    return found


def _tell(db: str, jobs: int, walked: Json, counts: dict[str, list[float]]) -> None:
    size = f"{db}, {jobs:,} jobs: "
    first = walked["first byte, ms"]
    figures = [
        figure(size + "ms to the first byte of a page, p50", [first["p50"]], "<= 150"),
        figure(size + "the same, p99", [first["p99"]], "<= 150"),
        figure(size + "CPU ms of a page, server and database", [walked["cpu ms"]], "<= 150"),
        *(
            figure(size + f"ms until the counts {name}", took, "<= 300")
            for name, took in counts.items()
        ),
    ]
    write(f"listing_{db}", figures, {"walk": walked, "counts ms": counts})


if __name__ == "__main__":
    main()
