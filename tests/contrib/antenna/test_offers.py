"""Jobs that are offered before their items are claimed."""

from __future__ import annotations

from joblot.contrib.antenna.offers import Offer, offers, others_wait
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.submit.submit import submit
from tests.failures.statements import written_by
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, keys, succeed


def test_what_can_be_claimed_is_offered_in_the_order_of_claims(ledger_db: str) -> None:
    old, new = (submit("j", keys(2), pipeline="p") for _ in range(2))
    paused = submit("paused", keys(2), pipeline="p")
    pause(paused.pk)
    submit("foreign", keys(2), pipeline="q")
    assert list(offers(["p"])) == [Offer(old.pk, 0, "p"), Offer(new.pk, 0, "p")]
    worker.lease(job=old.pk)
    assert list(offers(["p"])) == [Offer(new.pk, 0, "p")]


def test_projects_are_offered_in_turns(ledger_db: str) -> None:
    made = [submit("j", keys(2), pipeline="p", project=name) for name in ("a", "b")]
    first = [next(offers(["p"])).job for _ in range(20)]
    assert {first.count(job.pk) for job in made} <= set(range(5, 16))
    assert [one.job for one in offers(["p"], ["b"])] == [made[1].pk]


def test_a_stage_is_offered_when_something_has_come_to_it(ledger_db: str) -> None:
    job = submit("j", keys(1), stages=TWO_STAGES)
    assert list(offers(["q"])) == []
    succeed(worker.lease("p"))
    assert list(offers(["p", "q"])) == [Offer(job.pk, 1, "q")]


def test_an_offer_takes_and_writes_nothing(ledger_db: str) -> None:
    submit("j", keys(2), pipeline="p")
    assert not written_by(lambda: list(offers(["p"])))
    assert len(worker.lease().items) == 2


def test_whether_any_other_job_has_something_to_claim(ledger_db: str) -> None:
    job = submit("j", keys(2), pipeline="p")
    assert not others_wait(job.pk, None, None)
    other = submit("other", keys(2), pipeline="q", project="a")
    assert others_wait(job.pk, None, None)
    assert others_wait(job.pk, ["q"], ["a"])
    assert not others_wait(job.pk, ["p"], None)
    assert not others_wait(job.pk, None, ["default"])
    pause(other.pk)
    assert not others_wait(job.pk, None, None)
