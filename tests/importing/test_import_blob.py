"""Running jobs move into the ledger: repeatedly, while they run, with an exact account."""

from __future__ import annotations

from typing import Any

import pytest

from joblot.importing.account import JobAccount, StageAccount
from joblot.importing.mapping import KnownResult, OldJob
from joblot.importing.move import import_blob
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.audit import audit
from joblot.ledger.read.progress import progress
from joblot.models import Job
from tests.importing.old_system import OldSystem
from tests.ledger.worker import drain, lease, nothing
from tests.threads import Threads


def moved(old: OldSystem, **options: Any) -> JobAccount:
    (account,) = import_blob(old, **options)
    return account


def done(*names: str) -> list[KnownResult]:
    return [KnownResult(name, {"image": name}) for name in names]


def counts(account: JobAccount) -> list[tuple[int, int, int]]:
    assert account.job_id is not None
    assert audit(account.job_id)["ok"]
    stages = progress(account.job_id)["stages"]
    return [(stage["total"], stage["succeeded"], stage["failed"]) for stage in stages]


def adds_up(stage: StageAccount) -> bool:
    """Each result that was stored is accounted for once."""
    left = stage.not_taken.total() - stage.not_taken["counted_without_result"]
    return stage.results == stage.recorded + stage.already + left


def test_a_job_is_filled_while_the_old_system_goes_on_and_moves_at_the_cut_over(
    ledger_db: str,
) -> None:
    old = OldSystem({"a": 6})
    old.handle("a", "process", *done("a-0.jpg", "a-1.jpg"))
    old.handle("a", "results", *done("a-0.jpg"))
    first = moved(old)
    assert (first.done, first.items, first.added, first.is_complete) == ("filled", 6, 6, True)
    assert counts(first) == [(6, 2, 0), (6, 1, 0)]
    assert nothing(["p", "q"]), "the old system's workers go on"
    old.handle("a", "process", *done("a-2.jpg"), KnownResult("a-3.jpg", error="unreadable"))
    last = moved(old, cut_over=True)
    assert (last.done, last.job_id, last.added) == ("started", first.job_id, 0)
    assert counts(last) == [(6, 3, 1), (6, 1, 0)]
    assert old.told == [("a", last.job_id)]
    assert not old.handle("a", "process", *done("a-4.jpg")), "it is closed"
    drain("p", "q")
    assert progress(last.job_id or 0)["status"] == "COMPLETED_WITH_ERRORS"
    assert counts(last) == [(6, 5, 1), (6, 5, 0)]


def test_importing_again_changes_nothing(ledger_db: str) -> None:
    old = OldSystem({"a": 3})
    old.handle("a", "process", *done("a-0.jpg"))
    first, again = moved(old), moved(old)
    assert (again.job_id, again.added) == (first.job_id, 0)
    assert [(s.recorded, s.already) for s in again.stages] == [(0, 1), (0, 0)]
    started, after = moved(old, cut_over=True), moved(old, cut_over=True)
    assert (started.done, after.done, after.job_id) == ("started", "running", first.job_id)
    assert Job.ledger.using(ledger_db).count() == 1
    assert all(adds_up(s) for one in (first, again, started, after) for s in one.stages)


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(ledger_db: str) -> None:
    old = OldSystem({"a": 4})
    old.handle("a", "process", *done("a-0.jpg", "a-1.jpg"), *done("other.jpg"), counted=3)
    old.handle("a", "results", *done("a-2.jpg"))
    for cut_over in (False, True):
        planned = moved(old, dry_run=True, cut_over=cut_over)
        assert Job.ledger.using(ledger_db).count() == (1 if cut_over else 0)
        assert old.status["a"] == "STARTED"
        really = moved(old, cut_over=cut_over)
        assert planned.as_json() == {**really.as_json(), "job": planned.job_id}
    assert old.told == [("a", really.job_id)]


def test_what_can_not_be_taken_over_is_accounted_for(ledger_db: str) -> None:
    old = OldSystem({"a": 8})
    process = [
        *done("a-0.jpg", "a-1.jpg", "a-0.jpg", "stranger.jpg"),
        KnownResult("a-2.jpg", "x" * 3_000_000),
        KnownResult("a-3.jpg", error="unreadable"),
    ]
    old.handle("a", "process", *process, counted=9)
    old.handle("a", "results", *done("a-3.jpg", "a-5.jpg"))
    account = moved(old)
    assert not account.is_complete
    one, two = account.stages
    # 9 in the JSON, of which 3 are stored as successes of the job's items
    assert one.not_taken == {
        "counted_without_result": 6,
        "unknown_item": 1,
        "repeated": 1,
        "not_storable": 1,
    }
    assert (one.results, one.succeeded, one.failed, one.implied) == (6, 3, 1, 1)
    assert one.examples["unknown_item"] == ["stranger.jpg"]
    assert two.not_taken == {"conflicting": 1}, "it failed in the stage before"
    assert adds_up(one)
    assert adds_up(two)
    assert counts(account) == [(8, 3, 1), (8, 1, 0)]
    old.names["a"].append("a-2.jpg")
    assert "KeyConflict" not in moved(old).error


def test_a_result_that_differs_from_the_ledgers_is_left(ledger_db: str) -> None:
    old = OldSystem({"a": 2})
    moved(old, cut_over=True)
    held = lease("p")
    old.store("a", "process", KnownResult("a-0.jpg", "stored late"))
    late = moved(old)
    assert (late.done, late.stages[0].recorded) == ("running", 1), "a handler was still at it"
    old.rows.clear()
    old.store("a", "process", KnownResult("a-0.jpg", "another"))
    assert moved(old).stages[0].not_taken == {"conflicting": 1}
    cancel(late.job_id or 0, grace_seconds=0)
    old.store("a", "process", KnownResult("a-1.jpg", "too late"))
    over = moved(old)
    assert over.done == "ended"
    assert over.stages[0].not_taken == {"conflicting": 1, "too_late": 1}
    assert held.job == late.job_id
    assert counts(late) == [(2, 1, 0), (2, 0, 0)]


class Stops(OldSystem):
    """The process ends before one of these calls, the first time."""

    def __init__(self, at: str) -> None:
        super().__init__({"a": 3})
        self.at: str | None = at

    def stop(self, at: str) -> None:
        if self.at == at:
            self.at = None
            raise KeyboardInterrupt

    def close(self, job: OldJob) -> bool:
        self.stop("before close")
        closed = super().close(job)
        self.stop("after close")
        return closed

    def moved(self, job: OldJob, job_id: int) -> None:
        self.stop("before moved")
        super().moved(job, job_id)


@pytest.mark.parametrize("at", ["before close", "after close", "before moved"])
def test_a_cut_over_that_was_interrupted_is_repeated(ledger_db: str, at: str) -> None:
    old = Stops(at)
    old.handle("a", "process", *done("a-0.jpg"))
    with pytest.raises(KeyboardInterrupt):
        moved(old, cut_over=True)
    account = moved(old, cut_over=True)
    assert old.told == [("a", account.job_id)]
    assert counts(account) == [(3, 1, 0), (3, 0, 0)]
    assert len(lease("p").items) == 2


class Broken(OldSystem):
    def known(self, job: OldJob, stage: str) -> list[KnownResult]:
        if job.id == "b":
            raise LookupError("its table is gone")
        return list(super().known(job, stage))


def test_one_job_that_fails_harms_no_other(ledger_db: str) -> None:
    old = Broken({"a": 1, "b": 1, "c": 1})
    accounts = list(import_blob(old, cut_over=True))
    assert [one.done for one in accounts] == ["started", "failed", "started"]
    assert accounts[1].error == "LookupError: its table is gone"
    assert not accounts[1].is_complete
    assert old.status == {"a": "MOVING", "b": "STARTED", "c": "MOVING"}


def test_only_the_chosen_jobs_are_moved(ledger_db: str) -> None:
    old = OldSystem({"a": 1, "b": 1})
    assert [one.old for one in import_blob(old, jobs=["b"])] == ["b"]


def test_a_job_that_ends_in_the_old_system_is_not_started(ledger_db: str) -> None:
    class Ends(OldSystem):
        def close(self, job: OldJob) -> bool:
            self.status[job.id] = "SUCCESS"
            return False

    account = moved(Ends({"a": 1}), cut_over=True)
    assert (account.done, nothing("p")) == ("failed", True)
    assert "did not close it" in account.error


def test_a_job_that_ends_while_it_is_imported_is_over_and_not_failed(ledger_db: str) -> None:
    class Ends(OldSystem):
        def known(self, job: OldJob, stage: str) -> list[KnownResult]:
            if stage == "results" and self.told:
                cancel(self.told[0][1], grace_seconds=0)
            return list(super().known(job, stage))

    old = Ends({"a": 2})
    moved(old, cut_over=True)
    old.store("a", "process", *done("a-0.jpg"))
    account = moved(old)
    assert (account.error, progress(account.job_id or 0)["status"]) == ("", "REVOKED")
    assert account.stages[0].not_taken == {"too_late": 1}
    assert adds_up(account.stages[0])


def test_two_imports_at_once_make_one_job_and_record_each_result_once(
    ledger_db: str, in_thread: Threads
) -> None:
    old = OldSystem({"a": 60})
    old.handle("a", "process", *done(*old.names["a"][:40]))
    other = in_thread(moved, old)
    accounts = [moved(old), other.result()]
    assert len({one.job_id for one in accounts}) == 1
    assert sum(one.stages[0].recorded for one in accounts) == 40
    assert all(adds_up(one.stages[0]) and not one.error for one in accounts)
    assert counts(accounts[0])[0] == (60, 40, 0)


def test_handlers_go_on_until_the_cut_over_and_nothing_is_lost(
    ledger_db: str, in_thread: Threads
) -> None:
    old = OldSystem({"a": 300})
    stored: list[str] = []

    def handle() -> None:
        for name in old.names["a"]:
            if not old.handle("a", "process", *done(name)):
                return
            stored.append(name)

    handlers = in_thread(handle)
    moved(old)
    account = moved(old, cut_over=True)
    handlers.result()
    assert account.stages[0].results <= len(stored)
    late = moved(old)
    assert late.stages[0].recorded + account.stages[0].recorded <= len(stored)
    assert counts(late)[0] == (300, len(stored), 0)
    drain("p", "q")
    assert progress(late.job_id or 0)["status"] == "SUCCESS"
