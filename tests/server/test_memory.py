"""Small requests that would become large objects: refused in little time and memory, by a process
that keeps no memory of them.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from joblot.bounded_json import CONTAINER_WEIGHT
from joblot.config import Limits
from tests.cli.conftest import Joblot
from tests.server.process import Serving

MANY = 1_000_000
PEAK_BYTES_MAX = 350_000_000  # above the server's base
KEPT_BYTES_MAX = 150_000_000  # a little in each of 16 threads
CPU_SECONDS_MAX = 3.0  # of the server, per request; a million objects with an error each take 22
ANTENNA_SECONDS_MAX = 12.0  # where a list is split into its entries first
ANSWER_BYTES_MAX = 20_000

# About the largest that is still parsed, so that the bound on its size matters.
FEW = Limits().json_values_max // (CONTAINER_WEIGHT + 1) - 10


def many(text: str, times: int = MANY) -> str:
    return ",".join([text] * times)


def bodies() -> dict[str, tuple[str, str]]:
    """By name, a path and what is posted there: 700 MB in all, so they are made when needed."""
    return {
        "items of a job": ("jobs", f'{{"name":"n","pipeline":"p","items":[{many("{}")}]}}'),
        "few enough": ("jobs", f'{{"name":"n","pipeline":"p","items":[{many("{}", FEW)}]}}'),
        "stages": ("jobs", f'{{"name":"n","stages":[{many("{}", FEW)}]}}'),
        "one long key": ("jobs", f'{{"name":[],"pipeline":"p","items":["{"y" * 1_000_000}"]}}'),
        "no fields": ("jobs", "{" + ",".join(f'"k{n}":0' for n in range(MANY)) + "}"),
        "a policy": ("jobs", f'{{"name":"n","pipeline":"p","policy":{{"a":[{many("{}")}]}}}}'),
        "pipelines": ("claims", f'{{"pipelines":[{many("1", 2 * MANY)}]}}'),
        "about": ("claims", f'{{"pipelines":["p"],"about":{{"a":[{many("{}", FEW)}]}}}}'),
        "results": ("results", f'{{"lease":"x","results":[{many("{}")}]}}'),
        "an output": ("results", f'{{"lease":"x","results":[{{"output":[{many("{}")}]}}]}}'),
        "items": ("jobs/{job}/items", f'{{"items":[{many("{}")}]}}'),
        "one line": ("jobs/{job}/items", many("[" * 50 + "]" * 50, 100_000)),
        "kinds": ("webhooks", f'{{"url":"https://x/","kinds":[{many("1", 2 * MANY)}]}}'),
        "renewal": ("leases/x/renew", f'{{"seconds":[{many("{}")}]}}'),
        "grace": ("jobs/{job}/cancel", f"[{many('{}')}]"),
        "brackets": ("results", "[" * 60_000_000),
        "the older fleet's": (
            "/antenna/api/v2/jobs/{job}/result/",
            f'{{"results":[{many("[]")}]}}',
        ),
        "one of its results": (
            "/antenna/api/v2/jobs/{job}/result/",
            f'{{"results":[{{"result":[{many("[]")}]}}]}}',
        ),
        "its brackets": ("/antenna/api/v2/jobs/{job}/result/", '{"results":' + "[" * 200_000_000),
        "its registration": ("/antenna/api/v2/projects/{project}/pipelines/", f"[{many('[]')}]"),
    }


def memory(pid: int, name: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) * 1_024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def post(
    server: Serving, path: str, body: str | bytes, kind: str = "application/json"
) -> httpx.Response:
    zipped = body if isinstance(body, bytes) else gzip.compress(body.encode(), 1)
    url = f"{server.url}{path}" if path.startswith("/") else path
    headers = {"Content-Encoding": "gzip", "Content-Type": kind}
    return server.http.post(url, content=zipped, headers=headers)


@pytest.fixture
def server(joblot: Joblot) -> Iterator[Serving]:
    with Serving(joblot) as server:
        server.post("claims", {"pipelines": ["p"]})
        yield server


@pytest.mark.timeout(600)
def test_no_small_request_takes_much_time_or_memory(server: Serving) -> None:
    open_job = {"name": "open", "pipeline": "p", "seal": False}
    job = server.post("jobs", open_job, expect=201)["id"]
    (project,) = server.http.get(f"{server.url}/antenna/api/v2/projects/").json()["results"]
    pid = server.process.pid
    before = memory(pid)
    for name, (path, text) in bodies().items():
        kind = "application/x-ndjson" if name == "one line" else "application/json"
        began = cpu_seconds(pid)
        answer = post(server, path.format(job=job, project=project["id"]), text, kind)
        took = cpu_seconds(pid) - began
        assert answer.status_code < 500, (name, answer.text)
        assert len(answer.content) < ANSWER_BYTES_MAX, name
        assert took < (ANTENNA_SECONDS_MAX if "antenna" in path else CPU_SECONDS_MAX), name
    assert memory(pid, "VmHWM") - before < PEAK_BYTES_MAX
    assert memory(pid) - before < KEPT_BYTES_MAX


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "times"), [("few enough", 20), ("no fields", 6), ("one long key", 200)]
)
def test_the_same_many_times_takes_no_more_than_once(
    server: Serving, name: str, times: int
) -> None:
    """Whichever thread answers: an error does not keep the refused value alive."""
    pid, (path, text) = server.process.pid, bodies()[name]
    zipped = gzip.compress(text.encode(), 1)
    before = memory(pid)
    for _ in range(times):
        assert post(server, path, zipped).status_code in (200, 422)
    assert memory(pid, "VmHWM") - before < PEAK_BYTES_MAX
    assert memory(pid) - before < KEPT_BYTES_MAX
    assert server.health().status_code == 200
