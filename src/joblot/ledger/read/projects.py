"""The projects that there are."""

from __future__ import annotations

from joblot.config import limits
from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection, repeated


@repeated
def project_names() -> list[str]:
    """The names of all projects with jobs, in order; the first `projects_listed_max`."""
    most = limits().projects_listed_max
    return [name for (name,) in fetch(connection(), "read/project_names", limit=most)]
