"""The simulator on both databases: it passes for these seeds and new ones, and finds faults."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import pytest

from joblot.errors import InvalidInput, KeyConflict
from joblot.ledger.claim import after_report
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.db.transactions import durable
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.read.progress import progress
from joblot.ledger.report.report import report
from joblot.ledger.rows.job import lock_job
from joblot.ledger.rows.tallies import Deltas
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease, Stage
from joblot.states import TERMINAL, ItemState, Receipt
from joblot.testing.simulator import SimulationFailed, rival, simulate, world
from joblot.testing.simulator.world import World
from joblot.wire import ItemReceipt, NextClaim, Reported


@pytest.mark.parametrize("seed", [5, 9])
def test_everything_holds_for_a_known_seed(ledger_db: str, seed: int) -> None:
    done = simulate(seed, steps=100)
    assert done.receipts["counted"] > 0
    assert not Job.objects.exists()  # it leaves nothing behind


def test_a_job_that_ended_while_the_clock_was_ahead_is_cleared_away(ledger_db: str) -> None:
    simulate(1, replay="10:99 4: 10:")  # the clock jumps, an empty job is submitted, it jumps back
    assert not Job.objects.exists()


def test_a_retry_that_was_killed_once_begun_goes_on(ledger_db: str) -> None:
    """From then on its items are reopened, and its settled items become fewer."""
    killed = "5:3941 6: 4: 2:844.2068 5: 2:7939.8630.7949.2856 2:8543 6:45.3.99.3.0.99"
    done = simulate(1, replay=killed)
    assert done.figures["retried by cause"] > 0
    assert done.figures["killed"] > 0


def test_a_retry_within_the_run_whose_answer_was_lost_is_repeated(ledger_db: str) -> None:
    """The repeated request then expects another number of items than there are."""
    lost = (
        "5: 5:7548.1130 6:7966.7273 4: 1: 4: "
        "1:330.6126.3620.8967.3469.496.1317.6534.3920.5813.4922.5759 1:6733 "
        "7:2655.9636.4195.7655.8413.7266.7213.6504.5450.2424.6413.916"
    )
    done = simulate(1, replay=lost)
    assert (done.figures["lost"], done.figures["retried by cause"]) == (1, 1)


def test_everything_holds_for_a_fresh_seed(ledger_db: str) -> None:
    seed = secrets.randbelow(10**6)
    sys.stdout.write(f"fresh seed: {seed}\n")
    simulate(seed, steps=100)


def test_reports_claim_the_next_lease(ledger_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL, some of them in the same statement."""
    calls = 0
    in_one = after_report._report_and_claim

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return in_one(*args, **kwargs)

    monkeypatch.setattr(after_report, "_report_and_claim", counted)
    # A job of twelve items, a claim of five, their results, a report that claims five more.
    done = simulate(1, replay="4:12 0:0.4 0:0.0.99 0:30.0.0.99.4")
    assert done.figures["claimed by a report"] == 1
    assert (calls > 0) == (ledger_db == "postgres")


def test_the_same_seed_is_the_same_history(ledger_db: str) -> None:
    first, again = simulate(5, steps=25), simulate(5, steps=25)
    assert (first.figures, first.receipts) == (again.figures, again.receipts)


def test_a_large_job_is_worked_to_its_end(ledger_db: str) -> None:
    done = simulate(3, items=400)
    assert (done.jobs, done.items) == (1, 400)
    assert done.receipts["counted"] <= 400  # the rest was counted, but the answer was lost
    assert done.figures["posted again"] > 0


def counts_duplicates(token: str, results: list[Any]) -> Any:
    """A faulty report, as if without the outcome row: every repeat of a success counts."""
    answers = report(token, results)
    lease = Lease.objects.get(pk=token)
    again = sum(one.receipt is Receipt.DUPLICATE for one in answers)
    with durable():
        deltas = Deltas(Stage.objects.filter(job_id=lease.job_id).count())
        deltas.settle(lease.stage, ItemState.SUCCEEDED, again)
        deltas.write(lease.job_id)
    return answers


def test_a_report_that_counts_twice_is_caught(ledger_db: str) -> None:
    with pytest.raises(SimulationFailed, match="counts: expected"):
        simulate(1, verbs={"report": counts_duplicates}, shrink_plays_max=1)


def takes_back(token: str, results: list[Any]) -> Any:
    """A faulty report, in which a repeat undoes what was counted."""
    answers = report(token, results)
    lease = Lease.objects.get(pk=token)
    again = sum(one.receipt is Receipt.DUPLICATE for one in answers)
    with durable():
        deltas = Deltas(Stage.objects.filter(job_id=lease.job_id).count())
        deltas.settle(lease.stage, ItemState.SUCCEEDED, -again)
        deltas.write(lease.job_id)
    return answers


def test_a_count_that_goes_back_is_caught_without_the_model(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "_same", lambda *compared: None)
    with pytest.raises(SimulationFailed, match="went back"):
        simulate(1, verbs={"report": takes_back}, shrink_plays_max=1)


def test_an_end_that_comes_undone_is_caught_without_the_model(
    ledger_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: set[int] = set()

    def forgetful(job_id: int) -> dict[str, Any]:
        known = progress(job_id)
        if job_id in ended:
            return {**known, "status": "STARTED"}
        if known["status"] in TERMINAL:
            ended.add(job_id)
        return known

    monkeypatch.setattr(World, "_same", lambda *compared: None)
    monkeypatch.setattr(world, "progress", forgetful)
    with pytest.raises(SimulationFailed, match="became STARTED in the same run"):
        simulate(1, shrink_plays_max=1)


def test_what_fails_is_shrunk_to_a_history_that_replays(sqlite_only: str) -> None:
    with pytest.raises(SimulationFailed) as caught:
        simulate(2, verbs={"report": counts_duplicates}, shrink_plays_max=25)
    failed = caught.value
    before, after = failed.steps
    assert after == len(failed.replay.split()) < before / 2
    with pytest.raises(SimulationFailed, match="counts: expected"):
        simulate(2, replay=failed.replay, verbs={"report": counts_duplicates})
    simulate(2, replay=failed.replay)  # so the verb is at fault


def queues(token: str, results: list[Any]) -> Any:
    """A faulty report, as if all of a job's reports shared one lock."""
    with durable():
        job_id = Lease.ledger.get(pk=token).job_id
        list(Lease.ledger.select_for_update().filter(job_id=job_id).order_by("pk"))
    return report(token, results)


def test_a_report_that_waits_for_another_is_caught(
    postgres_only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rival, "WAIT_SECONDS_MAX", 1)
    with pytest.raises(SimulationFailed, match="waited for what another one holds"):
        simulate(1, verbs={"report": queues}, shrink_plays_max=1)


def test_a_report_that_locks_the_job_is_caught(
    postgres_only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locks_the_job(token: str, results: list[Any]) -> Any:
        with durable():
            lock_job(Lease.ledger.get(pk=token).job_id)
        return report(token, results)

    monkeypatch.setattr(rival, "WAIT_SECONDS_MAX", 1)
    with pytest.raises(SimulationFailed, match="waited for what another one holds"):
        simulate(1, verbs={"report": locks_the_job}, shrink_plays_max=1)


def says_counted(token: str, results: list[Any]) -> Any:
    """A faulty report that answers a repeat as if it were new."""
    return [
        one._replace(receipt=Receipt.COUNTED) if one.receipt is Receipt.DUPLICATE else one
        for one in report(token, results)
    ]


def test_a_receipt_that_is_wrong_is_caught(ledger_db: str) -> None:
    with pytest.raises(SimulationFailed, match="receipts: expected"):
        simulate(1, verbs={"report": says_counted}, shrink_plays_max=1)


def test_a_claim_that_grants_what_was_granted_is_caught(ledger_db: str) -> None:
    """As if the claim ignored a cancel."""
    from joblot.ledger.claim.claim import claim

    first: list[Any] = []

    def claim_twice(*args: Any, **kwargs: Any) -> Any:
        answer = claim(*args, **kwargs)
        if answer.leases and not first:
            first.append(answer)
        return first[0] if first else answer

    with pytest.raises(SimulationFailed):
        simulate(1, verbs={"claim": claim_twice}, shrink_plays_max=1)


def drops_the_results(token: str, results: list[Any], asked: NextClaim) -> Any:
    """A faulty report with a claim, in which a granted lease takes the place of the results."""
    answer = claim_as(asked)
    if not answer.leases:
        return Reported(list(report(token, results)), answer)
    receipts = [ItemReceipt(one.item, Receipt.COUNTED) for one in results]
    return Reported(receipts, answer)


def test_a_claim_that_costs_the_results_is_caught(ledger_db: str) -> None:
    with pytest.raises(SimulationFailed):
        simulate(3, verbs={"report_and_claim": drops_the_results}, shrink_plays_max=1)


# A job of nine items, a cap or a rate of two items for its pipeline, and a claim of five.
CAP_EXCEEDED, RATE_EXCEEDED = "4:9 12:0.0.1 0:0.4", "4:9 12:0.1.1 0:0.4"
LIMITS = ("in_flight_items_max", "rate_items_max")


def allows_more(pipeline: str, *, policy: dict[str, int | None]) -> dict[str, Any]:
    """A faulty edit, whose answer is correct but which allows one item more."""
    more = {name: most and most + 1 for name, most in policy.items() if name in LIMITS}
    edited = edit_pipeline(pipeline, policy={**policy, **more})
    return {**edited, "policy": {**edited["policy"], **_one_fewer(edited["policy"])}}


def _one_fewer(policy: dict[str, int | None]) -> dict[str, int | None]:
    given = ((name, policy[name]) for name in LIMITS)
    return {name: None if most is None else most - 1 for name, most in given}


@pytest.mark.parametrize("replay", [CAP_EXCEEDED, RATE_EXCEEDED])
def test_a_claim_that_exceeds_the_limit_of_a_pipeline_is_caught(
    ledger_db: str, replay: str
) -> None:
    with pytest.raises(SimulationFailed, match="a claim exceeds its limit: 3 items"):
        simulate(1, replay=replay, verbs={"edit_pipeline": allows_more})
    assert simulate(1, replay=replay).figures["limits edited"] == 2  # and lifted at the end


def test_a_claim_that_is_refused_within_the_limit_is_caught(ledger_db: str) -> None:
    """A faulty edit, which does not remove limits."""

    def keeps_limits(pipeline: str, *, policy: dict[str, int | None]) -> dict[str, Any]:
        edited = edit_pipeline(pipeline, policy={n: v for n, v in policy.items() if v is not None})
        return {**edited, "policy": {**edited["policy"], **policy}}

    lifted = "4:9 12:0.0.1 0:0.4 12:0.4 1:0.4"
    with pytest.raises(SimulationFailed, match="nothing granted"):
        simulate(1, replay=lifted, verbs={"edit_pipeline": keeps_limits})
    simulate(1, replay=lifted)


def drops_what_differs(*args: Any, **kwargs: Any) -> Any:
    """A faulty submission that returns the job with its key, whatever its content."""
    try:
        return submit(*args, **kwargs)
    except KeyConflict:
        return Job.objects.get(idempotency_key=kwargs["idempotency_key"])


def test_a_key_that_gives_another_submissions_job_is_caught(ledger_db: str) -> None:
    with pytest.raises(SimulationFailed, match=r"expected .*KeyConflict.*, got an answer"):
        simulate(1, verbs={"submit": drops_what_differs}, shrink_plays_max=1)


def test_a_database_with_jobs_is_left_alone(ledger_db: str) -> None:
    job = submit("mine", ["a"], pipeline="p")
    with pytest.raises(InvalidInput, match="database without jobs"):
        simulate(1)
    assert Job.objects.get().pk == job.pk
