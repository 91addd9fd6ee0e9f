"""Every pair of the ledger's verbs, in every order of their statements up to a bound.

After each of them, the audit and the independent recount must pass, counted items stay counted,
there is no deadlock, and the job can be worked to its end. `pytest --interleave full` (`make
interleave`) tries all pairs in all their scenes; the default is a few orders of the pairs that
share a scene.
"""

from __future__ import annotations

import pytest
from django.db import connections

from joblot.testing.interleave.catalogue import touched
from tests.interleave.play import Bound, Theatre
from tests.interleave.verbs import likely_pairs, pairs

BOUNDS = {
    "quick": Bound(preemptions=1, schedules=3, samples=0),
    "full": Bound(preemptions=1, schedules=2000, samples=0),
    "deep": Bound(preemptions=2, schedules=2000, samples=20),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pair" not in metafunc.fixturenames:
        return
    quick = metafunc.config.getoption("--interleave") == "quick"
    wanted = likely_pairs() if quick else pairs()
    metafunc.parametrize("pair", wanted, ids=map("-".join, wanted))


def test_a_pair(ledger_db: str, theatre: Theatre, orders: str, pair: tuple[str, str, str]) -> None:
    scene, *verbs = pair
    theatre.play(ledger_db, scene, verbs, BOUNDS[orders])


def test_what_a_change_touches_is_known_of_every_table(ledger_db: str) -> None:
    """Otherwise every order of the change is tried, and the pairs take longer than necessary."""
    assert None not in touched(connections[ledger_db]).values()
