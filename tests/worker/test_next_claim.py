"""The worker's reports bring its next lease, and no fault strands one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from joblot.cli.local_client import LocalClient
from joblot.errors import KeyConflict, NotAllowed, Unavailable
from joblot.ledger.read.audit import audit
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import LeaseState, Receipt
from joblot.wire import Claim, GrantedLease, ItemReceipt, NextClaim, Reported, Result, success
from joblot.worker import HttpClient, each
from joblot.worker.backlog import Backlog, Kept
from joblot.worker.shapes import reported_of
from tests.ledger.worker import status
from tests.worker.conftest import Working, ended, numbered
from tests.worker.server import Server

ITEMS = 30


class Counting(LocalClient):
    """Counts the leases by how they were granted."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed = self.brought = 0

    def claim(self, *args: Any, **kwargs: Any) -> Claim:
        answer = super().claim(*args, **kwargs)
        self.claimed += len(answer.leases)
        return answer

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        answer = super().report_and_claim(token, results, claim_next)
        self.brought += len(answer.claim.leases) if answer.claim else 0
        return answer


def live() -> int:
    return Lease.objects.filter(state=LeaseState.LIVE).count()


@pytest.mark.parametrize("ahead", [False, True])
def test_leases_come_with_reports(ledger_db: str, working: Working, ahead: bool) -> None:
    job = submit("j", numbered(ITEMS), pipeline="p")
    client, seen = Counting(), list[int]()

    def work(n: int) -> int:
        seen.append(n)
        return n

    with working(each(work), client=client, claim_aim_seconds=0.0, claim_ahead=ahead):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert client.claimed + client.brought == ITEMS == Lease.objects.count()
    assert client.brought > 0
    assert sorted(seen) == list(range(ITEMS))
    assert audit(job.pk)["ok"]


def test_a_lease_whose_answer_is_lost_is_taken_by_the_claim_with_its_key(
    ledger_db: str, working: Working, server: Server, client: HttpClient
) -> None:
    """Each item is computed once, and through no lease but the first that was granted for it."""
    job = submit("j", numbered(ITEMS), pipeline="p")
    server.network.lose_answers["results"] = 3
    seen: list[int] = []

    def work(n: int) -> int:
        seen.append(n)
        return n

    with working(each(work), client=client, claim_aim_seconds=0.0):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert server.network.lose_answers["results"] == 0
    assert sorted(seen) == list(range(ITEMS))
    assert (Lease.objects.count(), live()) == (ITEMS, 0)


@pytest.mark.parametrize(
    "error", [KeyConflict("ended"), NotAllowed("no more"), Unavailable("for now", 0.0)]
)
def test_a_claim_that_fails_beside_a_report_is_made_by_itself(
    ledger_db: str, working: Working, error: Any
) -> None:
    class Failing(LocalClient):
        failed = 0

        def report_and_claim(
            self, token: str, results: Sequence[Result], claim_next: NextClaim
        ) -> Reported:
            self.failed += 1
            return Reported(list(self.report(token, results)), claim_error=error)

    job, client = submit("j", numbered(ITEMS), pipeline="p"), Failing()
    with working(each(lambda n: n), client=client, claim_aim_seconds=0.0):
        assert ended(job.pk)["status"] == "SUCCESS"
    assert client.failed > 0


def test_a_drain_gives_back_what_a_report_brings(ledger_db: str, working: Working) -> None:
    job = submit("j", numbered(ITEMS), pipeline="p")
    begun, go_on = threading.Event(), threading.Event()

    class Slow(LocalClient):
        def report_and_claim(
            self, token: str, results: Sequence[Result], claim_next: NextClaim
        ) -> Reported:
            begun.set()
            assert go_on.wait(30)
            return super().report_and_claim(token, results, claim_next)

    with working(each(lambda n: n), client=Slow(), claim_aim_seconds=0.0) as worker:
        assert begun.wait(30)
        worker.drain()
        go_on.set()
    assert live() == 0
    assert status(job) == "STARTED"


class TestAWaitThatIsInterrupted:
    """As by Ctrl-C."""

    @pytest.fixture
    def backlog(self) -> Backlog:
        backlog = Backlog(threading.Event())
        backlog.put([Kept("token", success(0), 2)])
        return backlog

    def test_before_the_report_makes_no_claim(self, backlog: Backlog) -> None:
        wish = backlog.wish(NextClaim(["p"]))
        assert wish is not None
        wish.withdraw(lambda claim: pytest.fail("nothing was claimed"))
        assert backlog.take_wish() is None

    def test_while_it_is_under_way_gives_back_what_it_brings(self, backlog: Backlog) -> None:
        wish = backlog.wish(NextClaim(["p"]))
        assert wish is not None
        assert backlog.take_wish() is wish
        given_back: list[Claim] = []
        wish.withdraw(given_back.append)
        claim = Claim((GrantedLease("token", 1, 1, "", "p", "", None, ()),))
        wish.answered(claim)
        assert given_back == [claim]

    def test_no_wish_waits_for_a_joblot_that_is_away(self, backlog: Backlog) -> None:
        wish = backlog.wish(NextClaim(["p"]))
        assert wish is not None
        batch = backlog.next_batch()
        assert batch is not None
        backlog.posted(batch, batch, Unavailable("away"))
        assert wish.answer.result(0) is None
        assert backlog.wish(NextClaim(["p"])) is None


class TestTheAnswer:
    RECEIPT: ClassVar = {"item": 0, "receipt": "counted", "reason": ""}
    RECEIPTS: ClassVar = [ItemReceipt(0, Receipt.COUNTED)]

    def test_of_an_older_server_has_no_claim(self) -> None:
        assert reported_of({"receipts": [self.RECEIPT]}, 1) == Reported(self.RECEIPTS)

    def test_may_be_a_problem(self) -> None:
        problem = {"status": 409, "code": "key_conflict", "detail": "ended"}
        given = {"receipts": [self.RECEIPT], "claim": None, "claim_problem": problem}
        answer = reported_of(given, 1)
        assert (answer.receipts, answer.claim) == (self.RECEIPTS, None)
        assert isinstance(answer.claim_error, KeyConflict)

    def test_counts_its_receipts_even_if_its_claim_can_not_be_read(self) -> None:
        answer = reported_of({"receipts": [self.RECEIPT], "claim": {"leases": 7}}, 1)
        assert answer.receipts == self.RECEIPTS
        assert isinstance(answer.claim_error, Unavailable)
