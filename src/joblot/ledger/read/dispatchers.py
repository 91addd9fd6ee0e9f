"""Dispatchers whose broker is down, according to the description that they record as workers do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from joblot.config import limits
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.workers import is_recent
from joblot.models import NO_OWNER, WorkerInstance

DOWN_SINCE = "broker_down_since"  # in `about` of a dispatcher
ERROR = "broker_error"


@dataclass(frozen=True, slots=True)
class Down:
    """A dispatcher that can't send grants."""

    name: str
    pipelines: Collection[str]
    since: datetime


def down(pipelines: Collection[str]) -> list[Down]:
    """The dispatchers of these pipelines that were seen recently and have said so."""
    rows = WorkerInstance.ledger.using(alias()).filter(is_recent(), owner=NO_OWNER)
    known = rows.order_by("-last_seen_at").values_list("instance", "pipelines", "about")
    return [
        Down(name, served, datetime.fromisoformat(about[DOWN_SINCE]))
        for name, served, about in known[: limits().page_items_max]
        if isinstance(about, Mapping) and DOWN_SINCE in about and set(served) & set(pipelines)
    ]
