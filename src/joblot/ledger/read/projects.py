"""The projects that there are."""

from __future__ import annotations

from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection, repeated


@repeated
def project_names(most: int) -> list[str]:
    """The names of the projects with jobs, in order; the first `most`."""
    return [name for (name,) in fetch(connection(), "read/project_names", limit=most)]
