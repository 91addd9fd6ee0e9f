"""Every reader against every verb: each answer is of one committed state, not of two.

A valid answer is one that the reader gives when called alone in a state that the verb commits.
"""

from __future__ import annotations

import pytest

from tests.interleave.play import Bound, Theatre
from tests.interleave.verbs import VERBS

BOUNDS = {
    "quick": Bound(preemptions=1, schedules=6, samples=0),
    "full": Bound(preemptions=1, schedules=2000, samples=0),
    "deep": Bound(preemptions=2, schedules=2000, samples=20),
}
# A last result, removals, what begins the next run in several transactions, and a cancel, which
# commits within a function.
LIKELY = ("report", "delete", "retry", "cancel")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "verb" not in metafunc.fixturenames:
        return
    quick = metafunc.config.getoption("--interleave") == "quick"
    wanted = [
        (scene, verb)
        for verb, known in VERBS.items()
        for scene in known.scenes.split()
        if not quick or (verb in LIKELY and scene == known.scenes.split()[0])
    ]
    metafunc.parametrize(("scene", "verb"), wanted, ids=map("-".join, wanted))


def test_each_answer_is_of_one_committed_state(
    ledger_db: str, theatre: Theatre, orders: str, scene: str, verb: str
) -> None:
    theatre.read(ledger_db, scene, verb, BOUNDS[orders])
