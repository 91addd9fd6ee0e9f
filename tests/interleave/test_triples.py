"""Three verbs around the last item of a job: the last one must finish it, exactly once."""

from __future__ import annotations

import pytest

from tests.interleave.play import Bound, Theatre
from tests.interleave.verbs import triples

BOUNDS = {
    "quick": Bound(preemptions=0, schedules=6, samples=2),
    "full": Bound(preemptions=1, schedules=12, samples=4),
    "deep": Bound(preemptions=1, schedules=2000, samples=20),
}
# A success through each of two leases, a failure, an end of the lease, an end of the job, and of
# all its rows.
LIKELY = {"report", "fail", "amend", "expire", "cancel", "delete", "prune"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    quick = metafunc.config.getoption("--interleave") == "quick"
    wanted = [verbs for verbs in triples("last") if not quick or LIKELY.issuperset(verbs)]
    metafunc.parametrize("verbs", wanted, ids=map("-".join, wanted))


def test_three_around_the_last_item(
    ledger_db: str, theatre: Theatre, orders: str, verbs: tuple[str, str, str]
) -> None:
    theatre.play(ledger_db, "last", list(verbs), BOUNDS[orders])
