"""Try every order of the SQL statements of two or three operations, on a real database.

    from joblot.testing.interleave import explore

    explore(
        {"A": count_up, "B": count_up},
        setup=lambda: Counter.objects.update_or_create(id=1, defaults={"n": 0}),
        check=lambda outcomes: Counter.objects.get(id=1).n == 2,
    )

Each operation runs in its own thread on its own connection, and stops before each statement,
including COMMIT and ROLLBACK. Between two stops it runs alone. The package depends on nothing else
in joblot and requires no changes to the code that it explores.
"""

from joblot.testing.interleave.cast import Cast
from joblot.testing.interleave.errors import NeverEnds, ScheduleFailed, Stuck
from joblot.testing.interleave.explore import explore
from joblot.testing.interleave.hold import Hold
from joblot.testing.interleave.operation import Killed, OperationOutcome
from joblot.testing.interleave.report import Report
from joblot.testing.interleave.steps import step_function, with_steps

__all__ = [
    "Cast",
    "Hold",
    "Killed",
    "NeverEnds",
    "OperationOutcome",
    "Report",
    "ScheduleFailed",
    "Stuck",
    "explore",
    "step_function",
    "with_steps",
]
