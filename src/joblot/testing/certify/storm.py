"""The storm, from the first item to the removal of the last row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from joblot import clock
from joblot.errors import InvalidInput, Unavailable
from joblot.ledger.db.transactions import alias
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.job.removal import finish
from joblot.ledger.lease import expire
from joblot.ledger.read.progress import progress
from joblot.ledger.read.why import why
from joblot.ledger.rows import workers
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Lease
from joblot.states import TERMINAL, LeaseState
from joblot.testing.certify.certificate import Certificate, certificate
from joblot.testing.certify.truth import ITEMS_MAX, ITEMS_MIN, POLICY, PROJECT, Plan
from joblot.testing.certify.wounds import Wound
from joblot.testing.crew import Child, Crew, record
from joblot.testing.crew.record import Reported

LOOK_SECONDS = 0.05
SECONDS_MAX = 300.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Storm:
    """A running storm."""

    plan: Plan
    job_id: int
    crew: Crew
    tasks: list[dict[str, Any]]
    say: Say
    wounds: list[Wound] = field(default_factory=list)
    leases_expired: int = 0
    fates: list[str] = field(init=False)
    chance: Random = field(init=False)
    word: dict[str, Any] = field(init=False)  # sent to a worker when it begins

    def __post_init__(self) -> None:
        self.fates = self.plan.fates()
        self.chance = Random(f"{self.plan.seed} kills")
        self.word = {"job": self.job_id, "items_total": self.plan.items}

    def blow(self, seconds_max: float) -> None:
        """Run until the job has ended and all items held by killed workers are settled."""
        add_items(self.job_id, self.plan.portion(self.fates, 0))
        self.crew.begin(**self.word)
        if not self.plan.kills:
            seal(self.job_id)
        deadline = time.monotonic() + seconds_max
        while (state := progress(self.job_id))["status"] not in TERMINAL:
            if len(self.wounds) < self.plan.kills and state["percent"] >= 50:
                self.kill_one(even_idle=state["percent"] == 100)
            self.tend()
            if time.monotonic() > deadline:
                reasons = "; ".join(reason["text"] for reason in why(self.job_id)["reasons"])
                raise Unavailable(f"the storm did not end in {seconds_max:g} s: {reasons}")
            time.sleep(LOOK_SECONDS)
        self.tend()

    def kill_one(self, *, even_idle: bool) -> None:
        """Send SIGKILL to the worker that holds the most items, replace it, and add more items.

        If no worker holds any, do nothing until the next call, or with `even_idle`, kill any.
        """
        child = self._holder(even_idle=even_idle)
        if child is None:
            return
        child.kill()
        wound = Wound.of(self.job_id, child.name)
        self.wounds.append(wound)
        self.say(f"{child.name} (pid {child.pid}) killed, holding {wound.items} items")
        add_items(self.job_id, self.plan.portion(self.fates, len(self.wounds)))
        if len(self.wounds) == self.plan.kills:
            seal(self.job_id)
        name = _name(self.plan, len(self.tasks) + 1)
        task = {**self.tasks[0], "name": name}
        task["record"] = str(Path(task["record"]).with_name(f"{name}.jsonl"))
        self.tasks.append(task)
        self.crew.replace(child, task, **self.word)

    def _holder(self, *, even_idle: bool) -> Child | None:
        held: Counter[str] = Counter()
        for worker, items in self._live().values_list("worker", "open"):
            held[worker] += items
        most = max(held[child.name] for child in self.crew.children)
        if not most and not even_idle:
            return None
        return self.chance.choice([c for c in self.crew.children if held[c.name] == most])

    def tend(self) -> None:
        """Do what a sweep would do, but for this job only."""
        overdue = self._live().filter(expires_at__lt=clock.now())
        for token in list(overdue.values_list("pk", flat=True)):
            self.leases_expired += expire(token, "the storm's worker is dead")
        reconcile(self.job_id)
        for wound in self.wounds:
            wound.examine(self.job_id)

    def _live(self) -> Any:
        return Lease.ledger.using(alias()).filter(job_id=self.job_id, state=LeaseState.LIVE)


def certify(
    plan: Plan,
    *,
    setup: Mapping[str, Any] | None = None,
    keep: bool = False,
    seconds_max: float = SECONDS_MAX,
    say: Say = lambda line: None,
) -> Certificate:
    """Run a storm on its own job in Django's configured database, and check every result.

    `setup` says how the workers find that database: arguments of `joblot.standalone.setup`,
    nothing in a project. The job and all its rows are removed at the end in any case, unless
    `keep`. Raises InvalidInput for an invalid plan, Unavailable if the job does not end in time.
    """
    _check(plan)
    with _job(plan, keep=keep) as job_id, TemporaryDirectory(prefix="joblot-certify-") as folder:
        tasks = [_task(plan, n, setup or {}, folder) for n in range(1, plan.workers + 1)]
        began = time.monotonic()
        with Crew("joblot.testing.certify.worker", tasks) as crew:
            storm = Storm(plan, job_id, crew, tasks, say)
            storm.blow(seconds_max)
            seconds = time.monotonic() - began
            ended = crew.end()  # the workers report what they still hold, late
        reconcile(job_id)
        reports = [one for task in storm.tasks for one in record.read(Path(task["record"]))]
        return _certificate(storm, reports, ended, seconds)


def _certificate(
    storm: Storm, reports: list[Reported], ended: Mapping[str, int], seconds: float
) -> Certificate:
    return certificate(
        plan=storm.plan,
        job_id=storm.job_id,
        expected=storm.plan.expected(storm.fates),
        reports=reports,
        wounds=storm.wounds,
        ended=ended,
        leases_expired=storm.leases_expired,
        seconds=seconds,
    )


def _check(plan: Plan) -> None:
    if not ITEMS_MIN <= plan.items <= ITEMS_MAX:
        raise InvalidInput(f"items: expected {ITEMS_MIN} to {ITEMS_MAX:,}, got {plan.items:,}")
    if not 1 <= plan.workers <= 64 or not 0 <= plan.kills <= 100:
        raise InvalidInput(
            f"expected 1 to 64 workers and 0 to 100 kills, got {plan.workers} and {plan.kills}"
        )


@contextmanager
def _job(plan: Plan, *, keep: bool) -> Iterator[int]:
    job = submit(
        f"certification {plan.tag}",
        stages=plan.stages,
        project=PROJECT,
        policy=POLICY,
        seal=False,
    )
    try:
        yield job.pk
    finally:
        if not keep:
            delete(job.pk)
            finish(job.pk)
            workers.remove(_name(plan))


def _name(plan: Plan, n: int | str = "") -> str:
    """Of the nth worker; without `n`, what the names of all begin with, and of no other worker."""
    return f"certify-{plan.tag}-worker-{n}"


def _task(plan: Plan, n: int, setup: Mapping[str, Any], folder: str) -> dict[str, Any]:
    name = _name(plan, n)
    return {
        "name": name,
        "setup": dict(setup),
        "seed": plan.seed,
        "pipelines": plan.pipelines,
        "record": str(Path(folder) / f"{name}.jsonl"),
    }
