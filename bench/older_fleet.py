"""What a report of the older fleet costs: the server's CPU time, compared to `json.loads`.

    python bench/older_fleet.py [--rounds 5]

A batch of 24 images with 10 boxes each, as the fleet's worker posts it: from a model with two
classes (0.2 MB), and from one with 3,000 (21 MB). Each is posted twice; `json.loads` parses the
same bytes in the same round. The time until the response includes the socket and the database.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from figures import figure, write
from granted import migrate
from served import served

from joblot import standalone
from joblot.testing.postgres import PostgresServer

IMAGES = 24
BOXES = 10
CLASSES = {"0.2 MB": 2, "21 MB": 3_000}
POSTS = {"0.2 MB": 40, "21 MB": 2}  # per round, since the CPU time is reported in ticks
PIPELINE = "quebec_vermont_moths_2023"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with PostgresServer() as server, tempfile.TemporaryDirectory() as outputs:
        os.environ["XDG_DATA_HOME"] = outputs
        url = server.create_database("bench")
        standalone.setup(url)
        migrate()
        from joblot.identity.tokens import issue

        with served(url) as (port, pid), _fleet(port, issue("fleet", ["work"])[0]) as client:
            measured = {name: _measured(client, pid, name, asked.rounds) for name in CLASSES}
    _tell(measured)


def _fleet(port: int, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}/antenna/api/v2",
        headers={"Authorization": f"Token {token}"},
        timeout=None,
        trust_env=False,
    )


def _measured(client: httpx.Client, pid: int, name: str, rounds: int) -> dict[str, list[float]]:
    """Seconds per post, in each round; the first only warms up."""
    found: dict[str, list[float]] = {}
    for round_ in range(rounds + 1):
        bodies = [_claimed(client, CLASSES[name]) for _ in range(POSTS[name])]
        took = {"json.loads": _each(bodies, lambda body: json.loads(body[1]), time.process_time)}
        for post in ("first", "repeat"):
            began = _cpu_seconds(pid)
            took[f"{post}, wall"] = _each(bodies, lambda body: _post(client, *body), time.monotonic)
            took[f"{post}, processor"] = (_cpu_seconds(pid) - began) / len(bodies)
        times = ", ".join(f"{what} {seconds * 1000:.1f} ms" for what, seconds in took.items())
        print(f"round {round_}, {name}: {times}", flush=True)
        if round_:
            for what, seconds in took.items():
                found.setdefault(what, []).append(seconds)
    return found | {"bytes": [len(bodies[0][1])]}


def _each(
    bodies: list[tuple[str, bytes]],
    act: Callable[[tuple[str, bytes]], Any],
    clock: Callable[[], float],
) -> float:
    began = clock()
    for body in bodies:
        act(body)
    return (clock() - began) / len(bodies)


def _claimed(client: httpx.Client, classes: int) -> tuple[str, bytes]:
    """Claim a batch; return the path to post it to, and its body."""
    from joblot.ledger.submit.submit import submit

    images = ({"key": f"http://images.test/{n}.jpg"} for n in range(IMAGES))
    job = submit("night", images, pipeline=PIPELINE)
    tasks = client.post(f"/jobs/{job.pk}/tasks/", json={"batch_size": IMAGES}).json()["tasks"]
    results = [
        {"reply_subject": task["reply_subject"], "result": _detected(task, classes)}
        for task in tasks
    ]
    return f"/jobs/{job.pk}/result/", json.dumps({"results": results}).encode()


def _post(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["results_queued"] == IMAGES, answer.text


def _detected(task: dict[str, str], classes: int) -> dict[str, Any]:
    return {
        "pipeline": PIPELINE,
        "algorithms": {},
        "total_time": 0.0023,
        "source_images": [{"id": task["id"], "url": task["image_url"]}],
        "detections": [_box(task, classes) for _ in range(BOXES)],
        "config": {"example_config_param": None},
    }


def _box(task: dict[str, str], classes: int) -> dict[str, Any]:
    return {
        "source_image_id": task["id"],
        "bbox": {"x1": 0.0, "y1": 0.0, "x2": 161.0, "y2": 121.0},
        "inference_time": 0.0,
        "algorithm": {"name": "FasterRCNN for AMI Moth Traps 2023", "key": "fasterrcnn_2023"},
        "timestamp": "2026-11-23T23:33:02.261664",
        "crop_image_url": None,
        "classifications": [
            {
                "classification": "moth",
                "labels": None,
                "scores": [random.random() / classes for _ in range(classes)],
                "logits": [round(random.gauss(0, 3), 3) for _ in range(classes)],
                "inference_time": 0.0,
                "algorithm": {"name": "Species", "key": "species"},
                "terminal": True,
                "timestamp": "2026-11-23T23:33:02.265128",
            }
        ],
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tell(measured: dict[str, dict[str, list[float]]]) -> None:
    large = measured["21 MB"]
    figures = [
        figure(
            f"21 MB, {post}: the server's processor time / json.loads", _ratios(large, post), "<= 1"
        )
        for post in ("first", "repeat")
    ]
    figures += [
        figure(f"{name}, {post}: seconds until the answer", took[f"{post}, wall"], "<= 0.7")
        for name, took in measured.items()
        for post in ("first", "repeat")
    ]
    write("older_fleet", figures, measured)


def _ratios(took: dict[str, list[float]], post: str) -> list[float]:
    return [a / b for a, b in zip(took[f"{post}, processor"], took["json.loads"], strict=True)]


if __name__ == "__main__":
    main()
