"""The checks after a schedule; once per final state, since many schedules share one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joblot.errors import (
    KeyConflict,
    LeaseEnded,
    NotFound,
    NumberChanged,
    WorkerRevoked,
    WrongStatus,
)
from joblot.ledger.claim import queue
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import resume, start
from joblot.ledger.maintain.delivery import deliver
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.why import why
from joblot.ledger.submit.submit import seal
from joblot.models import Job, Outcome
from joblot.states import TERMINAL, ItemState, JobStatus
from joblot.testing.simulator import recount
from tests.interleave import handler
from tests.interleave.scenes import SECONDS, Scene
from tests.interleave.snapshot import Rows, Snapshot
from tests.ledger.conftest import Clock
from tests.ledger.worker import succeed

# The errors allowed for a verb that came too late, met another with the same key, or was revoked.
REFUSALS = (KeyConflict, LeaseEnded, NotFound, NumberChanged, WorkerRevoked, WrongStatus)
UUID = re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b")
SWEEPS_MAX = 5
SUCCESSES = ("report", "amend")  # the verbs that report item 0 as succeeded
RECEIVED = (["counted"], ["amended"])


class Verdict:
    """Checks the invariants and, if `to_the_end`, that the job can then be worked to its end.

    `changed`: the tables that differ from the scene's after the last check, if that is known.
    """

    def __init__(self, scene: Scene, snapshot: Snapshot, *, to_the_end: bool) -> None:
        self._scene = scene
        self._snapshot = snapshot
        self._to_the_end = to_the_end
        self._known = tokens(snapshot.rows())
        self._ends: dict[Any, AssertionError | None] = {}
        self.changed: Collection[str] | None = None

    @property
    def ends(self) -> int:
        """The number of different final states."""
        return len(self._ends)

    def check(self, outcomes: Mapping[str, Any]) -> None:
        if self._scene.open:
            submissions_get_what_they_asked_for(outcomes)
        rows = self._snapshot.rows()
        end = self._same_for_alike(rows), Told.of(outcomes)
        if end not in self._ends:
            self._ends[end] = self._judge(end[1])
        else:
            self.changed = self._snapshot.changed(rows)
        if problem := self._ends[end]:
            raise problem

    def _same_for_alike(self, rows: Rows) -> Rows:
        """The tokens of leases granted in a schedule are random: name the leases by their rows."""
        plain = sorted((table, UUID.sub(self._name, row), row) for table, row in rows)
        names = dict(self._known)
        for _, _, row in plain:
            for token in UUID.findall(row):
                names.setdefault(token.replace("-", ""), f"new {len(names)}")

        def name(found: re.Match[str]) -> str:
            return names[found[0].replace("-", "")]

        return tuple(sorted((table, UUID.sub(name, row)) for table, row in rows))

    def _name(self, found: re.Match[str]) -> str:
        return self._known.get(found[0].replace("-", ""), "new")

    def _judge(self, answers: Told) -> AssertionError | None:
        clock = Clock()
        clock.forward(SECONDS)
        try:
            check_all()
            nothing_is_said_to_be_missing()
            answers.is_so(self._scene)
            if self._to_the_end:
                for job in Job.objects.filter(deleted_at__isnull=True):
                    work_to_the_end(job.pk, clock)
                check_all()
        except AssertionError as problem:
            return problem
        finally:
            clock.release()
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """The part of the verbs' answers on which a verdict depends, apart from the rows.

    `success`: item 0 was counted. `retried`: a retry was answered that it began a run. `deleted`,
    `pruned`: a delete or a prune was answered that it took the job.
    """

    success: bool
    retried: bool
    deleted: bool
    pruned: bool

    @classmethod
    def of(cls, outcomes: Mapping[str, Any]) -> Told:
        done = {name: outcome.value for name, outcome in outcomes.items() if not outcome.error}
        return cls(
            any(name.startswith(SUCCESSES) and done[name] in RECEIVED for name in done),
            any(name.startswith("retry") for name in done),
            any(name.startswith("delete") for name in done),
            any(name.startswith("prune") and done[name] for name in done),
        )

    def is_so(self, scene: Scene) -> None:
        """Assert that the rows match the answers; a job is absent only if a removal took it."""
        job = Job.objects.filter(pk=scene.job.pk).first()
        assert (job is None) == self.pruned, "a job is gone that no prune has taken, or still there"
        if job is None:
            assert not (self.retried and not self.deleted), "pruned though it was in its next run"
            return
        asked = self.deleted or scene.removing
        assert asked or job.deleted_at is None, "it is being removed, but no verb asked for it"
        assert job.deleted_at is not None or not self.deleted, "deleted, and not being removed"
        if self.success and job.total:
            rows = Outcome.objects.filter(job_id=job.pk, stage=0, number=0)
            assert rows.filter(state=ItemState.SUCCEEDED), "a success was counted and is not there"
        if self.success and job.deleted_at is not None:
            assert job.recorded[0]["succeeded"], "a success was counted after the removal began"


# Verbs that may cause a submission to be refused that could have completed its job.
REASONS = {
    KeyConflict: {"add_items", "seal"},
    WrongStatus: {"cancel", "delete"},
    NotFound: {"delete"},
}


def submissions_get_what_they_asked_for(outcomes: Mapping[str, Any]) -> None:
    """A key yields a sealed job of these three items, or a justified refusal."""
    verbs = {name.partition(" ")[0] for name in outcomes}
    for name, outcome in outcomes.items():
        if name.startswith("submit_other"):
            conflict = isinstance(outcome.error, KeyConflict)
            assert conflict or "delete" in verbs, f"{name} {outcome}: the key was another's"
        elif name.startswith("submit") and outcome.error is not None:
            reasons = verbs & REASONS[type(outcome.error)]
            assert reasons, f"{name} {outcome}: all have asked for the same"
        if name.startswith("submit") and outcome.value is not None:
            got = (outcome.value.sealed, outcome.value.total)
            assert got == (True, 3), f"{name} got another job: sealed, total = {got}"


def nothing_is_said_to_be_missing() -> None:
    """`why` shows damage; no order of the verbs makes any."""
    for job in Job.objects.filter(deleted_at__isnull=True):
        shown = [one["text"] for one in why(job.pk)["reasons"] if one["code"] == "missing"]
        assert shown == [], shown


def work_to_the_end(job_id: int, clock: Clock) -> None:
    """Assert that no item is missing or in two places, and that the job finishes."""
    queue.forget()
    for _ in range(SWEEPS_MAX):
        clock.forward(10 * SECONDS)  # held items expire, waiting items are due
        sweep()
        job = Job.objects.get(pk=job_id)
        if job.status in TERMINAL:
            deliver()
            handler.check_told(job_id, all_=True)
            return
        release_brakes(job)
        while leases := claim(["p", "q"]).leases:
            succeed(leases[0])
    raise AssertionError(f"it does not end: {job.status}, sealed={job.sealed}")


def release_brakes(job: Job) -> None:
    """Do what an operator must do for the job to continue."""
    if job.status == JobStatus.CREATED:
        start(job.pk)
    if job.status == JobStatus.PAUSED:
        resume(job.pk)
    if not job.sealed:
        seal(job.pk)


def check_all() -> None:
    for job in Job.objects.filter(deleted_at__isnull=True):
        found = audit(job.pk)
        assert found["ok"], [check for check in found["checks"] if not check["ok"]]
        handler.check_told(job.pk, all_=False)
    recount.check_all()


def tokens(rows: Rows) -> dict[str, str]:
    found = {token.replace("-", "") for _, row in rows for token in UUID.findall(row)}
    return {token: f"old {n}" for n, token in enumerate(sorted(found))}
