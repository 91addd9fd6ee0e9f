"""A batch of more than 100 MB in one post is processed quickly, and in little memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import joblot, make_joblot
from tests.contrib.antenna.fleet import Task, detected
from tests.server.process import Serving
from tests.server.raw import AUTHORIZED

__all__ = ["joblot", "make_joblot"]

IMAGES = 16
CLASSES = 29_176  # of the largest model
BODY_BYTES_MIN = 100_000_000
MEMORY_BYTES_MAX = 100_000_000  # above the server's base; a whole parse takes five times this
CPU_SECONDS_MAX = 20.0  # of the server; after 30 a worker begins to lose results


def batch(tasks: list[Task]) -> bytes:
    """Quick to build: all boxes are the same."""
    boxes = json.dumps(detected(tasks[0], boxes=5, classes=CLASSES)["detections"])
    results = []
    for task in tasks:
        result = json.dumps(detected(task, boxes=0)).replace(
            '"detections": []', f'"detections": {boxes}'
        )
        results.append(f'{{"reply_subject": "{task["reply_subject"]}", "result": {result}}}')
    return f'{{"results": [{",".join(results)}]}}'.encode()


def in_pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 262_144] for at in range(0, len(body), 262_144))


def memory_peak(pid: int) -> int:
    """The process's peak memory in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


def cpu_seconds(pid: int) -> float:
    """The process's CPU time; its elapsed time depends on other processes."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(300)  # slow on a busy machine
def test_a_batch_of_a_hundred_megabytes_is_parsed_in_bounded_memory(joblot) -> None:
    """On SQLite only: it takes several seconds, few of them in the database."""
    with Serving(joblot) as server:
        images = [{"key": f"{n}", "payload": {"url": f"http://x/{n}"}} for n in range(IMAGES)]
        job = server.post(
            "jobs", {"name": "night", "pipeline": "moths", "items": images}, expect=201
        )
        path = f"{server.url}/antenna/api/v2/jobs/{job['id']}"
        with httpx.Client(headers=AUTHORIZED, timeout=None, trust_env=False) as client:
            tasks = client.post(f"{path}/tasks/", json={"batch_size": IMAGES}).json()["tasks"]
            body = batch(tasks)
            assert len(body) > BODY_BYTES_MIN
            pid = server.process.pid
            before, began = memory_peak(pid), cpu_seconds(pid)
            headers = {"Content-Length": str(len(body)), "Content-Type": "application/json"}
            answer = client.post(f"{path}/result/", content=in_pieces(body), headers=headers)
            grown, took = memory_peak(pid) - before, cpu_seconds(pid) - began
        assert answer.json()["results_queued"] == IMAGES
        done = server.http.get(f"jobs/{job['id']}").json()
    assert done["status"] == "SUCCESS"
    assert done["stages"][0]["metrics"]["detections"] == 5 * IMAGES
    assert grown < MEMORY_BYTES_MAX
    assert took < CPU_SECONDS_MAX
