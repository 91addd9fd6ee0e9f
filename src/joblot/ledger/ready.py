"""For whom there is work now: a hint for those who wait. A claim decides what is taken."""

from __future__ import annotations

from collections.abc import Collection

from joblot.ledger.candidates import Wanted
from joblot.ledger.statements import fetch
from joblot.ledger.transactions import connection, repeated


@repeated
def ready_for(asked: Collection[Wanted]) -> set[Wanted]:
    """Those for whom a claimable job has a range whose time has come."""
    return {wanted for wanted in asked if _is_ready(wanted)}


def _is_ready(wanted: Wanted) -> bool:
    ((ready,),) = fetch(connection(), "is_ready", **wanted.as_params())
    return bool(ready)
