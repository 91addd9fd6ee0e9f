"""The demo from start to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management import call_command
from rich.console import Console

from joblot import config, on_event, progress, submit
from joblot.demo import fates, hooks
from joblot.demo.database import APPS
from joblot.demo.digits import load
from joblot.demo.display import Display, display
from joblot.demo.fates import Fate
from joblot.demo.models import SavedDigit, UnlockedJob
from joblot.demo.run import Run
from joblot.errors import Unavailable
from joblot.ledger.maintain.delivery import deliver, deliver_until
from joblot.ledger.maintain.sweep import sweep, sweep_until
from joblot.ledger.read.audit import audit
from joblot.ledger.read.history import events
from joblot.ledger.read.items import items
from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import JobNotice
from joblot.testing.crew import Crew, record
from joblot.testing.crew.record import Reported

STRIKES = {"worker-2": fates.kill_when_holding, "worker-3": fates.call_back_when_expired}
WORKERS = ("worker-1", "worker-2", "worker-3", "worker-4")
LEASE_SECONDS = 2.0
SWEEP_SECONDS = 0.2
SHOW_SECONDS = 0.1
RUN_SECONDS_MAX = 120.0  # a run takes five; on a busy machine it takes much longer

Tasks = Sequence[dict[str, Any]]


def play(url: str, seed: int, console: Console, *, lost_key: str | None = None) -> Run:
    """Run the job to its end under all the faults, then collect the results.

    `lost_key` keeps one row from being saved, so that the checks must fail. Raises Unavailable if
    the job does not end.
    """
    call_command("migrate", verbosity=0, interactive=False)
    config.configure({"sweep_seconds": SWEEP_SECONDS})
    with TemporaryDirectory(prefix="joblot-demo-record-") as folder:
        tasks = [
            {
                "setup": {"url": url, "apps": APPS},
                "seed": seed,
                "name": name,
                "holds": name in STRIKES,
                "record": str(Path(folder) / f"{name}.jsonl"),
                "lost_key": lost_key,
            }
            for name in WORKERS
        ]
        worked = _work(tasks, seed, console)
        console.print("the same reports again, to a counter without a lock …", highlight=False)
        return _look_back(worked, seed, _reports(tasks), _count_unlocked(tasks))


@dataclass(slots=True)
class _Worked:
    """The completed job, and what happened during it."""

    job_id: int
    notices: list[JobNotice] = field(default_factory=list)
    fates: dict[str, Future[Fate | None]] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def fate(self, worker: str) -> Fate | None:
        return self.fates[worker].result()


def _work(tasks: Tasks, seed: int, console: Console) -> _Worked:
    # The crew ends before the pool, which may still wait for a message that never comes.
    with ThreadPoolExecutor() as pool, Crew("joblot.demo.worker", tasks) as crew:
        worked = _Worked(_submit(seed))
        with display(console) as shown, _swept(worked) as finished:
            crew.begin(job=worked.job_id, items_total=len(load().images) + 1)
            began = time.monotonic()
            for child in crew.children:
                if strike := STRIKES.get(child.name):
                    worked.fates[child.name] = pool.submit(strike, child, shown.say)
            _watch(worked.job_id, shown, finished)
            worked.seconds = time.monotonic() - began
            worked.exit_codes = crew.end()
            sweep()  # so that a second finish would also be delivered
            deliver()
    return worked


def _submit(seed: int) -> int:
    job = submit(
        "handwritten digits",
        load().items(seed),
        stages=hooks.STAGES,
        policy={"lease_seconds": LEASE_SECONDS},
    )
    return int(job.pk)


@contextmanager
def _swept(worked: _Worked) -> Iterator[threading.Event]:
    """Sweep in a thread; yields an event that is set once the job's finish is delivered."""
    finished, stop = threading.Event(), threading.Event()

    @on_event("finished")
    def note(event: JobNotice) -> None:
        if event.job_id == worked.job_id:
            worked.notices.append(event)
            finished.set()

    threads = [
        threading.Thread(target=clock, args=[stop], daemon=True)
        for clock in (sweep_until, deliver_until)
    ]
    for thread in threads:
        thread.start()
    try:
        yield finished
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _watch(job_id: int, shown: Display, finished: threading.Event) -> None:
    deadline = time.monotonic() + RUN_SECONDS_MAX
    while not finished.wait(SHOW_SECONDS):
        shown.show(progress(job_id))
        if time.monotonic() > deadline:
            reasons = "; ".join(reason["text"] for reason in why(job_id)["reasons"])
            raise Unavailable(f"job {job_id} did not end in {RUN_SECONDS_MAX:g} s: {reasons}")
    shown.show(progress(job_id))


def _reports(tasks: Tasks) -> list[Reported]:
    reports = [one for task in tasks for one in record.read(Path(task["record"]))]
    return sorted(reports, key=lambda one: one.at)


def _count_unlocked(tasks: Tasks) -> int:
    """Repeat the reports from as many processes, at the same times; return how many counted."""
    job = UnlockedJob.objects.create(progress={})
    began = _reports(tasks)[0].at
    with Crew("joblot.demo.unlocked", [{**task, "began": began} for task in tasks]) as crew:
        crew.begin(job=job.pk)
        for child in crew.children:
            if child.receive() is None:
                raise Unavailable(f"{child.name} of the unlocked counter did not end its work")
    job.refresh_from_db()
    return sum(sum(stage.values()) for stage in job.progress.values())


def _look_back(worked: _Worked, seed: int, reports: Sequence[Reported], unlocked: int) -> Run:
    job_id = worked.job_id
    saved = SavedDigit.objects.filter(job_id=job_id)
    kinds = [event["kind"] for event in events(job_id, limit=1_000)]
    return Run(
        seed=seed,
        digits=load(),
        seconds=worked.seconds,
        job=progress(job_id),
        failed=items(job_id, state="failed"),
        finished_events=kinds.count("finished"),
        finishes_told=len(worked.notices),
        audit=audit(job_id),
        saved=list(saved.values_list("key", "digit")),
        reports=reports,
        exit_codes=worked.exit_codes,
        killed=worked.fate("worker-2"),
        late=worked.fate("worker-3"),
        unlocked=unlocked,
    )
