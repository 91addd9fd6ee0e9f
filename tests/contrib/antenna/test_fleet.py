"""Whole jobs, over a real server, by workers that behave as badly as the real ones."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import httpx

from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.items import outputs
from joblot.ledger.read.progress import progress
from joblot.models import Job
from tests.contrib.antenna.conftest import Api, job_of
from tests.contrib.antenna.fleet import Post, Task, Worker, detected, not_loaded
from tests.polling import eventually
from tests.server.served import Served

SECONDS_MAX = 60


def run_all(workers: list[Worker], in_thread: Callable[..., Any]) -> None:
    for running in [in_thread(worker.run) for worker in workers]:
        running.result(SECONDS_MAX)


def held(job: Job) -> int:
    return sum(lease["items"] for lease in in_flight(job=job.pk))


def let_leases_run_out(job: Job) -> None:
    for lease in in_flight(job=job.pk):
        expire(lease["token"])


def losing_every_third() -> Post:
    """A network that loses requests, and answers to requests that were served."""
    posts = itertools.count()

    def post(session: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
        number = next(posts)
        if number % 6 == 0:
            raise httpx.ConnectError("the request was lost")
        answer = session.post(path, json=body)
        if number % 6 == 3:
            raise httpx.ReadTimeout("the answer was lost")
        return answer

    return post


def odd_ones(task: Task) -> dict[str, Any]:
    """Of a hundred images, one never loads."""
    return not_loaded(task) if int(task["id"]) % 100 == 7 else detected(task)


def test_a_job_comes_out_exact_whatever_its_workers_do(
    served: Served, token: str, in_thread: Callable[..., Any]
) -> None:
    """One worker is killed in the middle of its work, another loses every third batch."""
    job = job_of(500, policy={"retry_backoff_seconds": 0})
    killed = Worker(served.url, token, odd_ones, dies_after_batches=2)
    losing = Worker(served.url, token, odd_ones, post=losing_every_third())
    usual = Worker(served.url, token, odd_ones)
    run_all([killed, losing, usual], in_thread)
    while progress(job.pk)["status"] == "STARTED":
        let_leases_run_out(job)
        run_all([losing, usual], in_thread)
    state = progress(job.pk)
    assert state["status"] == "COMPLETED_WITH_ERRORS"
    (stage,) = state["stages"]
    assert (stage["succeeded"], stage["failed"], stage["lost"]) == (495, 5, 0)
    assert stage["metrics"]["detections"] == 495
    kept = dict(outputs(job.pk))
    assert set(kept) == {f"image {n}" for n in range(500) if n % 100 != 7}
    for key, output in kept.items():
        assert f"image {output['source_images'][0]['id']}" == key


def test_a_worker_that_takes_ahead_is_bounded(
    served: Served, token: str, api: Api, in_thread: Callable[..., Any]
) -> None:
    """Without a bound, four loaders would take 408 tasks at once, however slow the models are."""
    job = job_of(600)
    go = threading.Event()

    def slow(task: Task) -> dict[str, Any]:
        go.wait(SECONDS_MAX)
        return detected(task)

    worker = Worker(served.url, token, slow)
    running = in_thread(worker.run)
    eventually(lambda: held(job) >= 240)
    assert api.tasks(job) == []
    assert held(job) < 240 + 3 * 24, "what is asked for at one moment may exceed it"
    go.set()
    running.result(SECONDS_MAX)
    assert progress(job.pk)["status"] == "SUCCESS"


def test_a_cancelled_job_lets_its_workers_go(
    served: Served, token: str, in_thread: Callable[..., Any]
) -> None:
    """The next answer has no tasks; results still posted are received."""
    dead, live = job_of(400), job_of(60, pipeline="insect_orders_2025")
    begun = threading.Event()

    def models(task: Task) -> dict[str, Any]:
        if not begun.is_set():
            cancel(dead.pk, grace_seconds=0)
            begun.set()
        return detected(task)

    worker = Worker(served.url, token, models)
    in_thread(worker.run).result(SECONDS_MAX)
    state = progress(dead.pk)
    assert (state["status"], state["stages"][0]["succeeded"]) == ("REVOKED", 0)
    assert state["finished_after_cancel"] == worker.fetched - 60
    assert progress(live.pk)["status"] == "SUCCESS"


def test_an_idle_worker_is_sent_to_a_job_as_soon_as_there_is_one(
    served: Served, token: str, in_thread: Callable[..., Any], configure_antenna: Any
) -> None:
    configure_antenna(wait_seconds=SECONDS_MAX)
    polls = [in_thread(Worker(served.url, token, detected).poll) for _ in range(3)]
    eventually(lambda: len(served.process.room) == 3)
    job = job_of(5)
    for poll in polls:
        assert poll.result(SECONDS_MAX) == [{"id": job.pk, "pipeline_slug": "moth_binary"}]
