"""All verbs in random order, compared with the model after every step, on both databases.

`JOBLOT_MODEL_EXAMPLES=500 pytest tests/ledger/test_model.py` searches deeper, and minimizes a
failure. A failure prints the steps that lead to it, and a blob that repeats them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from joblot import config, faults
from joblot.clock import set_clock
from joblot.errors import LeaseEnded, WrongStatus
from joblot.ledger.claim import queue
from joblot.ledger.claim.claim import claim
from joblot.ledger.job import lifecycle
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job as JobRow
from joblot.models import Lease as LeaseRow
from joblot.models import Outcome
from joblot.states import (
    AMENDABLE,
    CANCELABLE,
    FILLABLE,
    FINALIZABLE,
    RETRYABLE,
    TERMINAL,
    JobStatus,
    LeaseState,
    ReportedOutcome,
)
from joblot.testing.simulator import model, recount
from joblot.testing.simulator.model_outcomes import COUNTS
from joblot.testing.simulator.model_receipts import FAILURES_MAX, Given
from joblot.wire import failure, success
from tests import databases

ASKED = os.environ.get("JOBLOT_MODEL_EXAMPLES")
EXAMPLES = int(ASKED or 15)
# Minimizing a failure takes minutes, so it is done on request only.
PHASES = [Phase.explicit, Phase.generate, *([Phase.shrink] if ASKED else [])]
START = datetime(2030, 1, 1, tzinfo=UTC)
POLICY = {
    "failures_max": FAILURES_MAX,
    "expiries_max": model.EXPIRIES_MAX,
    "lease_seconds": model.LEASE,
    "retry_backoff_seconds": model.BACKOFF,
}
# Small chunks and batches, so that a few items need several of them.
SMALL = {
    "add_chunk_items": 3,
    "range_items_min": 4,
    "reopen_chunk_items": 2,
    "close_leases_batch": 2,
    "merge_ranges_min": 1,
}

PICK = st.integers(0, 30)
RESULTS = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(["a", "a", "bb", "bad", "again", "again"])),
    min_size=1,
    max_size=8,
)


class ReporterDied(Exception):
    pass


def die() -> None:
    raise ReporterDied


class Ledger(RuleBasedStateMachine):
    """The real ledger and its model, side by side."""

    @initialize(stages=st.integers(1, 3), items=st.integers(2, 7))
    def begin(self, stages: int, items: int) -> None:
        config.configure(SMALL)
        queue._cursors.clear()  # so that a run is reproducible
        self.now = 0
        self.jobs: dict[int, model.Job] = {}
        self.leases: list[tuple[int, str]] = []
        self.submit(stages, items, start=True, seal=True)

    def teardown(self) -> None:
        for job_id, job in getattr(self, "jobs", {}).items():
            if not job.deleted:
                checked = audit(job_id)
                assert checked["ok"], [c for c in checked["checks"] if not c["ok"]]
        config.configure({})
        databases.empty(databases.current())

    def at(self) -> Any:
        return set_clock(START + timedelta(seconds=self.now))

    def pick(self, number: int) -> tuple[int, model.Job]:
        job_id = sorted(self.jobs)[number % len(self.jobs)]
        return job_id, self.jobs[job_id]

    def pick_lease(self, number: int) -> tuple[model.Job, str]:
        job_id, token = self.leases[-1 - number % len(self.leases)]
        return self.jobs[job_id], token

    def attempt(self, job: model.Job, allowed: bool, verb: Callable[[], Any]) -> bool:
        """Run the verb; assert that it is refused unless allowed."""
        if job.deleted:
            return False
        with self.at():
            if allowed:
                verb()
            else:
                with pytest.raises(WrongStatus):
                    verb()
        return allowed

    # Producers

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(
        stages=st.integers(1, 3), items=st.integers(0, 7), start=st.booleans(), seal=st.booleans()
    )
    def submit(self, stages: int, items: int, start: bool, seal: bool) -> None:
        named = [{"name": f"s{n}", "pipeline": f"p{n}"} for n in range(stages)]
        keys = [f"k{n}" for n in range(items)]
        with self.at():
            row = submit("job", keys, stages=named, policy=POLICY, start=start, seal=seal)
        job = self.jobs[row.pk] = model.Job(stages)
        job.events.append("started" if start else "created")
        job.status = JobStatus.PENDING if start else JobStatus.CREATED
        job.add(items)
        if seal:
            job.seal(by_its_submission=True)

    # Work is drawn as often as all verbs on whole jobs together, or little would be done.
    @rule(
        verb=st.sampled_from(
            ["add", "seal", "start", "pause", "resume", "resume", "cancel", "retry", "retry_cause"]
        ),
        number=PICK,
        amount=st.integers(0, 4),
    )
    def administer(self, verb: str, number: int, amount: int) -> None:
        getattr(self, verb)(number, amount)

    @precondition(lambda self: len(self.jobs) > 1)
    @rule(number=PICK)
    def remove(self, number: int) -> None:
        self.delete(number, 0)

    def add(self, number: int, items: int) -> None:
        job_id, job = self.pick(number)
        allowed = not job.sealed and job.status in FILLABLE
        again = [f"k{n}" for n in range(job.total + max(items, 1))]  # including the existing ones
        if self.attempt(job, allowed, lambda: add_items(job_id, again)):
            job.add(max(items, 1))

    def seal(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        allowed = job.sealed or job.status in FILLABLE
        if self.attempt(job, allowed, lambda: seal(job_id)):
            job.seal()

    def start(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        if self.attempt(job, True, lambda: lifecycle.start(job_id)):
            job.start()

    def pause(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        allowed = job.status in ("PENDING", "STARTED", "PAUSED")
        if self.attempt(job, allowed, lambda: lifecycle.pause(job_id)):
            job.pause()

    def resume(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        allowed = job.status in ("PENDING", "STARTED", "PAUSED")
        if self.attempt(job, allowed, lambda: lifecycle.resume(job_id)):
            job.resume()

    def cancel(self, number: int, seconds: int) -> None:
        grace = model.GRACE if seconds % 2 else 0
        job_id, job = self.pick(number)
        allowed = job.status in CANCELABLE | {JobStatus.CANCELING, JobStatus.REVOKED}
        in_flight = self.in_flight(job_id, job)
        verb = lambda: lifecycle.cancel(job_id, grace_seconds=grace)  # noqa: E731
        if self.attempt(job, allowed, verb):
            job.cancel(self.now, grace, in_flight)

    def retry(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        allowed = job.status in RETRYABLE
        if self.attempt(job, allowed, lambda: retry(job_id)):
            job.retry()

    def retry_cause(self, number: int, which: int) -> None:
        job_id, job = self.pick(number)
        failed = Outcome.objects.filter(job_id=job_id, error_cause__isnull=False)
        if job.deleted or not failed:
            return
        causes = sorted({one.error_cause for one in failed})
        cause = causes[which % len(causes)]
        chosen = frozenset((o.stage, o.number) for o in failed if o.error_cause == cause)
        verb = lambda: retry(job_id, cause=cause, expected=len(chosen))  # noqa: E731
        goes_on = job.status in FINALIZABLE  # then the items are reopened within the run
        if self.attempt(job, goes_on or job.status in AMENDABLE, verb):
            job.reopen(chosen) if goes_on else job.retry(chosen)
            # Within the run, each of its transactions records an event.
            chunks = ceil(len(chosen) / SMALL["reopen_chunk_items"]) if goes_on else 1
            job.events += ["reopened"] * (chunks - 1)

    def delete(self, number: int, _: int) -> None:
        job_id, job = self.pick(number)
        if self.attempt(job, True, lambda: lifecycle.delete(job_id)):
            job.delete(self.now)

    # Workers

    @rule(number=PICK, limit=st.integers(1, 5), stages=st.sampled_from(["012", "012", "0", "12"]))
    def claim(self, number: int, limit: int, stages: str) -> None:
        job_id, job = self.pick(number)
        with self.at():
            answer = claim([f"p{n}" for n in stages], limit, job=job_id)
        served = [n for n in map(int, stages) if n < job.stages and job.ready(n, self.now)]
        assert bool(answer.leases) == bool(served)
        if not served:
            return
        (lease,) = answer.leases
        assert (lease.stage, lease.run) == (f"s{max(served)}", job.run)  # the latest stage first
        ready = job.ready(max(served), self.now)
        granted = {item.id: item for item in lease.items}
        assert granted.keys() <= ready.keys()
        assert 1 <= len(granted) <= limit
        assert len(granted) == 1 or not any(ready[n].alone for n in granted)
        for n, item in granted.items():
            assert item.attempt == ready[n].failures + ready[n].expiries + 1
            before = job.settled.get((max(served) - 1, n), (None, None))[1]
            assert item.input == before
        job.claim(lease.token, max(served), granted, self.now)
        self.leases.append((job_id, lease.token))

    def results(self, job: model.Job, token: str, wanted: Any) -> list[Given]:
        """Results mostly for the lease's items, some for others."""
        own = sorted(job.leases[token].held)
        given: list[Given] = []
        for n, how in wanted:
            number = own[n % len(own)] if n < 11 else 100
            good = how in ("a", "bb")
            outcome = ReportedOutcome.SUCCEEDED if good else ReportedOutcome.FAILED
            given.append((number, outcome, how if good else "", how == "again"))
        return given

    @staticmethod
    def posted(given: list[Given]) -> list[Any]:
        return [
            success(number, output, {"bytes": len(output)})
            if outcome is ReportedOutcome.SUCCEEDED
            else failure(number, ("Bad", "Worse")[number % 2], retryable=retryable)
            for number, outcome, output, retryable in given
        ]

    @precondition(lambda self: self.leases)
    @rule(number=PICK, wanted=RESULTS)
    def report(self, number: int, wanted: Any) -> None:
        job, token = self.pick_lease(number)
        given = self.results(job, token, wanted)
        with self.at():
            answers = report(token, self.posted(given))
        assert [a.item for a in answers] == [item for item, *_ in given]
        assert [a.receipt for a in answers] == job.report(token, given, self.now)

    @rule(number=PICK, limit=st.integers(1, 5), wanted=RESULTS)
    def work(self, number: int, limit: int, wanted: Any) -> None:
        before = len(self.leases)
        self.claim(number, limit, "012")
        if len(self.leases) > before:
            self.report(0, wanted)

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 3), n=st.integers(0, 10), between=st.booleans())
    def change_its_mind(self, number: int, n: int, between: bool) -> None:
        """Report a failure, then a success after all, perhaps after the run has ended."""
        self.report(number, [(n, "bad")])
        if between:
            self.sweep()
        self.report(number, [(n, "a")])

    @rule(number=PICK, limit=st.integers(1, 9))
    def take_and_die(self, number: int, limit: int) -> None:
        before = len(self.leases)
        self.claim(number, limit, "012")
        if len(self.leases) > before:
            self.expire(0)

    @rule(number=PICK, how=st.sampled_from(["a", "a", "bad"]))
    def work_all(self, number: int, how: str) -> None:
        """Complete everything that is ready in one stage."""
        before = len(self.leases)
        self.claim(number, 9, "012")
        if len(self.leases) > before:
            self.report(0, [(n, how) for n in range(7)])

    @precondition(lambda self: self.leases)
    @rule(number=PICK, wanted=RESULTS, folds=st.booleans())
    def report_and_die(self, number: int, wanted: Any, folds: bool) -> None:
        """The reporter dies before reconciling, perhaps when a sweeper is about to fold."""
        job, token = self.pick_lease(number)
        given = self.results(job, token, wanted)
        was = job.status
        with (
            self.at(),
            faults.armed("report: committed, not looked", die),
            pytest.raises(ReporterDied),
        ):
            report(token, self.posted(given))
        job.report(token, given, self.now)
        if folds and was in TERMINAL and not job.deleted:
            with self.at():
                fold(next(job_id for job_id, one in self.jobs.items() if one is job))
        self.sweep()

    @precondition(lambda self: self.leases)
    @rule(verb=st.sampled_from(["renew", "release", "expire", "expire"]), number=PICK)
    def end(self, verb: str, number: int) -> None:
        getattr(self, verb)(number)

    def renew(self, number: int) -> None:
        job, token = self.pick_lease(number)
        lease = job.leases[token]
        with self.at():
            try:
                renew(token)
            except LeaseEnded:
                assert not job.is_live(lease)
            else:
                assert lease.state is LeaseState.LIVE
                lease.deadline = self.now + model.LEASE

    def release(self, number: int) -> None:
        job, token = self.pick_lease(number)
        with self.at():
            assert release(token) == job.release(token, self.now)

    def expire(self, number: int) -> None:
        job, token = self.pick_lease(number)
        with self.at():
            expired = expire(token)
        assert expired >= job.expire(token, self.now)

    # The clock

    @rule(seconds=st.sampled_from([1, model.BACKOFF, model.LEASE + 1]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        for job in self.jobs.values():
            for token, lease in job.leases.items():
                if job.is_overdue(lease, self.now):
                    job.expire(token, self.now)
        with self.at():
            in_flight = {i: self.in_flight(i, job) for i, job in self.jobs.items()}
            sweep()
        for job_id, job in self.jobs.items():
            job.end_cancel(self.now, in_flight[job_id])
            if job.deleted:
                job.purge()

    @rule(number=PICK)
    def tidy(self, number: int) -> None:
        job_id, job = self.pick(number)
        with self.at():
            merge_ranges()
            if job.status in TERMINAL and not job.deleted:
                assert fold(job_id)

    def in_flight(self, job_id: int, job: model.Job) -> bool:
        """Whether a cancel has leases to wait for; momentary, and never too low."""
        overdue = START + timedelta(seconds=self.now)
        live = LeaseRow.objects.filter(
            job_id=job_id, state=LeaseState.LIVE, expires_at__gte=overdue
        ).exists()
        truly = any(job.is_live(lease) for lease in job.leases.values())
        return live or truly

    # After every step

    @invariant()
    def the_ledger_is_what_the_model_says(self) -> None:
        for job_id, job in getattr(self, "jobs", {}).items():
            if job.deleted:
                continue
            known = progress(job_id)
            assert (known["status"], known["run"], known["revision"]) == (
                job.status,
                job.run,
                job.revision,
            )
            counted = [{name: s[name] for name in COUNTS} for s in known["stages"]]
            assert counted == job.counts()
            sums = [s["metrics"].get("bytes", 0) for s in known["stages"]]
            assert sums == job.settled.bytes
            assert known["finished_after_cancel"] == len(job.late)
            assert [event["kind"] for event in events(job_id)] == job.events
            recount.check(JobRow.objects.get(pk=job_id))


@pytest.mark.timeout(3_600 if ASKED else 300)  # seconds; it takes 5 on an idle machine
def test_the_ledger_does_what_the_model_says(ledger_db: str) -> None:
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=EXAMPLES,
            phases=PHASES,
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
