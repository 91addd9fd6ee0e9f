"""The guards of the ledger, each with a way to remove it and the test that then fails.

`python -m tests.interleave.mutants` (`make mutants`) removes them one by one;
docs/explanation/guards.md is generated from this table.
"""

from __future__ import annotations

from tests.interleave.guards import (
    cancels,
    claims,
    handlers,
    imports,
    leases,
    races,
    readers,
    removal,
    reports,
    submissions,
    values,
)
from tests.interleave.guards.guard import Guard

GUARDS: tuple[Guard, ...] = (
    *races.GUARDS,
    *claims.GUARDS,
    *leases.GUARDS,
    *cancels.GUARDS,
    *reports.GUARDS,
    *submissions.GUARDS,
    *imports.GUARDS,
    *removal.GUARDS,
    *handlers.GUARDS,
    *readers.GUARDS,
    *values.GUARDS,
)
