"""Whole jobs, worked over a real server by workers that behave as badly as the real ones do."""

from __future__ import annotations

from joblot.ledger.progress import progress
from tests.api.antenna.conftest import Server, job_of
from tests.api.antenna.fleet import Worker, detected


def counts(job) -> dict[str, int]:
    stage = progress(job.pk)["stages"][0]
    return {name: stage[name] for name in ("succeeded", "failed", "lost", "in_flight", "ready")}


def test_a_fleet_works_a_job_to_its_end(server: Server, token: str, in_thread) -> None:
    job = job_of(1_000)
    workers = [Worker(server.url, token, detected) for _ in range(3)]
    for done in [in_thread(worker.run) for worker in workers]:
        done.result()
    assert counts(job) == {"succeeded": 1000, "failed": 0, "lost": 0, "in_flight": 0, "ready": 0}
    assert progress(job.pk)["status"] == "SUCCESS"
