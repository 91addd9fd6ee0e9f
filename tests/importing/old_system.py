"""An old system that still runs: its jobs' progress is one JSON value, its results are rows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from joblot.importing.mapping import KnownResult, OldJob

STAGES = [{"name": "process", "pipeline": "p"}, {"name": "results", "pipeline": "q"}]


class OldSystem:
    """Jobs of `items` images each. A handler that comes after `close` is refused, as in the table.

    `blob` is what handlers have counted, `rows` what they have stored, by job and stage.
    """

    source = "old"
    stages = STAGES

    def __init__(self, jobs: Mapping[str, int]) -> None:
        self._lock = threading.Lock()
        self.names = {job: [f"{job}-{n}.jpg" for n in range(items)] for job, items in jobs.items()}
        self.status = dict.fromkeys(jobs, "STARTED")
        self.rows: dict[tuple[str, str], list[KnownResult]] = {}
        self.blob: dict[str, dict[str, dict[str, int]]] = {job: {} for job in jobs}
        self.told: list[tuple[str, int]] = []

    def handle(
        self, job: str, stage: str, *results: KnownResult, counted: int | None = None
    ) -> bool:
        """Store results and count them; `counted` is what a lost update leaves in the JSON."""
        with self._lock:
            if self.status[job] != "STARTED":
                return False
            self.store(job, stage, *results)
            counts = self.blob[job].setdefault(stage, {"succeeded": 0, "failed": 0})
            for one in results:
                counts["succeeded" if one.error is None else "failed"] += 1
            if counted is not None:
                counts["succeeded"] = counted
            return True

    def store(self, job: str, stage: str, *results: KnownResult) -> None:
        self.rows.setdefault((job, stage), []).extend(results)

    def jobs(self) -> Iterator[OldJob]:
        for job, status in list(self.status.items()):
            if status in ("STARTED", "MOVING"):
                yield OldJob(job, f"job {job}", {k: dict(v) for k, v in self.blob[job].items()})

    def items(self, job: OldJob) -> Iterable[Mapping[str, Any] | str]:
        return [{"key": name, "payload": {"image": name}} for name in self.names[job.id]]

    def known(self, job: OldJob, stage: str) -> Iterable[KnownResult]:
        with self._lock:
            return list(self.rows.get((job.id, stage), []))

    def close(self, job: OldJob) -> bool:
        with self._lock:
            if self.status[job.id] == "STARTED":
                self.status[job.id] = "MOVING"
            return self.status[job.id] == "MOVING"

    def moved(self, job: OldJob, job_id: int) -> None:
        self.told.append((job.id, job_id))
