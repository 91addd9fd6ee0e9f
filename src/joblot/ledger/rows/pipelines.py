"""What the jobs of a pipeline have in common: how many items are in flight."""

from __future__ import annotations

from django.db.models import Q

from joblot.ledger.db.statements import fetch
from joblot.ledger.db.transactions import connection

LIMITED = Q(rate_items_max__isnull=False) | Q(in_flight_items_max__isnull=False)


def items_in_flight(pipeline: str) -> int:
    """How many items the live leases of this pipeline hold, over all of its jobs."""
    ((items,),) = fetch(connection(), "rows/pipeline_in_flight", pipeline=pipeline)
    return int(items)
