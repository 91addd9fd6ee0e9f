"""The guards of the ledger, each with a way to take it out and the test that then turns red.

`python -m tests.interleave.mutants` (`make mutants`) takes them out one by one;
docs/explanation/guards.md is made from this table.
"""

from __future__ import annotations

from tests.interleave.guards import handlers, races, readers, removal, submissions, values
from tests.interleave.guards.guard import Guard

GUARDS: tuple[Guard, ...] = (
    *races.GUARDS,
    *submissions.GUARDS,
    *removal.GUARDS,
    *handlers.GUARDS,
    *readers.GUARDS,
    *values.GUARDS,
)
