"""The older fleet's worker, imitating its observed behavior: it never sends anything twice.

Several loaders prefetch batches until an answer says that there are none; each loader stops at the
first unsuccessful answer. The worker processes batches in order and posts each once; after a
failed post it drops the results. It never renews or releases anything, and dies silently.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

SLUGS = ("moth_binary", "insect_orders_2025")
GET_TRIES = 4
RETRIED = (500, 502, 503, 504)
LOADERS = 4
AHEAD = 4  # batches that a loader holds ready
POSTERS = 2

Task = dict[str, str]
Post = Callable[[httpx.Client, str, dict[str, Any]], httpx.Response]


class Killed(Exception):
    """SIGKILL: this worker does nothing more."""


class Worker:
    """One GPU's process. `models` processes a task; `post` sends results, and may lose them."""

    def __init__(
        self,
        url: str,
        token: str,
        models: Callable[[Task], dict[str, Any]],
        *,
        batch_size: int = 24,
        slugs: tuple[str, ...] = SLUGS,
        post: Post | None = None,
        dies_after_batches: float = float("inf"),
    ) -> None:
        self._base = f"{url}/antenna/api/v2"
        self._headers = {"Authorization": f"Token {token}"}
        self._models = models
        self._batch_size = batch_size
        self._slugs = slugs
        self._post = post or (lambda session, path, body: session.post(path, json=body))
        self._lives_for = dies_after_batches
        self._dead = threading.Event()
        self._lock = threading.Lock()
        self.fetched = 0
        self.answers: list[dict[str, Any]] = []

    def run(self) -> None:
        """Work until a poll finds nothing; the real worker would sleep for 5 s and continue."""
        try:
            while sum([self._drain(job) for job in self.poll()]):
                pass
        except Killed:
            self._dead.set()

    def poll(self) -> list[dict[str, Any]]:
        """One bad entry discards the whole list, as does any error."""
        slugs = "%2C".join(self._slugs)
        query = f"pipeline__slug__in={slugs}&ids_only=1&incomplete_only=1&dispatch_mode=async_api"
        with self._session() as session:
            for _ in range(GET_TRIES):
                answer = session.get(f"/jobs?{query}")
                if answer.status_code not in RETRIED:
                    break
        if answer.status_code != 200:
            return []
        listed = answer.json()["results"]
        for job in listed:
            assert type(job["id"]) is int
            assert job["pipeline_slug"] in self._slugs
        return list(listed)

    def _session(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._base,
            headers=self._headers,
            timeout=30,
            follow_redirects=True,
            verify=False,  # no TLS is used, and loading certificates is slow
            trust_env=False,
        )

    def _drain(self, job: dict[str, Any]) -> int:
        """Work on the job until its loaders have stopped; returns the number of tasks."""
        ready: list[queue.Queue[list[Task] | None]] = [queue.Queue(AHEAD) for _ in range(LOADERS)]
        done, posted = 0, []
        with ThreadPoolExecutor(LOADERS + POSTERS) as threads:
            loaders = [threads.submit(self._load, job, one) for one in ready]
            try:
                for batch in _in_turn(ready):
                    if self._lives_for <= 0:
                        raise Killed
                    self._lives_for -= 1
                    done += len(batch)
                    posted.append(threads.submit(self._post_once, job, self._results(job, batch)))
            finally:
                self._dead.set()
                self._empty(ready, loaders)
                self._dead.clear()
        for one in posted:
            one.result()
        return done

    def _load(self, job: dict[str, Any], ready: queue.Queue[list[Task] | None]) -> None:
        with self._session() as session:
            while not self._dead.is_set():
                body = {"batch_size": self._batch_size}
                answer = session.post(f"/jobs/{job['id']}/tasks/", json=body)
                tasks = answer.json()["tasks"] if answer.status_code == 200 else []
                if not tasks:
                    break
                with self._lock:
                    self.fetched += len(tasks)
                ready.put(_checked(tasks))
        ready.put(None)

    def _results(self, job: dict[str, Any], batch: list[Task]) -> list[dict[str, Any]]:
        return [
            {"reply_subject": task["reply_subject"], "result": self._models(task)} for task in batch
        ]

    def _post_once(self, job: dict[str, Any], results: list[dict[str, Any]]) -> None:
        """On any failure the results are dropped silently."""
        with self._session() as session:
            try:
                answer = self._post(session, f"/jobs/{job['id']}/result/", {"results": results})
                reply = answer.json() if answer.status_code == 200 else {}
            except (httpx.HTTPError, ValueError):
                return
        if reply:
            assert type(reply["status"]) is str
            assert type(reply["job_id"]) is int
            assert type(reply["results_queued"]) is int
            assert all(type(text) is str for one in reply["tasks"] for text in one.values())
            self.answers.append(reply)

    @staticmethod
    def _empty(ready: list[queue.Queue[list[Task] | None]], loaders: list[Future[None]]) -> None:
        """Empty the queue of a dead worker, so that no loader waits for room in it."""
        while not all(loader.done() for loader in loaders):
            for one in ready:
                while not one.empty():
                    one.get_nowait()


def _in_turn(ready: list[queue.Queue[list[Task] | None]]) -> Iterator[list[Task]]:
    """Take one batch from each loader in turn, until all have stopped."""
    left = list(ready)
    while left:
        for one in list(left):
            batch = one.get()
            if batch is None:
                left.remove(one)
            else:
                yield batch


def _checked(tasks: list[Task]) -> list[Task]:
    """Refuse what the real worker's schema would refuse, which ends its attempt at the job."""
    for task, name in itertools.product(tasks, ("id", "image_id", "image_url", "reply_subject")):
        assert type(task[name]) is str, f"{name}: {task[name]!r}"
    assert len({task["image_id"] for task in tasks}) == len(tasks)
    return tasks


def detected(task: Task, boxes: int = 1, classes: int = 2) -> dict[str, Any]:
    """The models' detections for an image, in the protocol's shape."""
    scores = [1 / (n + 1.5) for n in range(classes)]
    box = {
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
                "scores": scores,
                "logits": [score * 5 for score in scores],
                "inference_time": 0.0,
                "algorithm": {"name": "Moth / Non-Moth Classifier", "key": "moth_nonmoth"},
                "terminal": False,
                "timestamp": "2026-11-23T23:33:02.265128",
            }
        ],
    }
    return {
        "pipeline": SLUGS[0],
        "algorithms": {},
        "total_time": 0.0023,
        "source_images": [{"id": task["id"], "url": task["image_url"]}],
        "detections": [box] * boxes,
        "config": {"example_config_param": None},
    }


def not_loaded(task: Task) -> dict[str, Any]:
    return {"error": "failed to load image", "image_id": task["image_id"]}


def batch_failed(task: Task, why: str = "CUDA out of memory") -> dict[str, Any]:
    return {"error": f"Batch processing error: {why}", "image_id": task["image_id"]}
