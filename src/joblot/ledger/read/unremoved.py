"""Files that wait to be removed, and the reason for each, as messages."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q

from joblot import clock
from joblot.config import limits
from joblot.ledger.read.gauges import count
from joblot.ledger.rows.outputs import marked
from joblot.shown import to_the_second


def unremoved(rows_max: int) -> Iterator[str]:
    """Messages about failed removals and overdue ones; longest waiting first."""
    late = Q(tries=1, started_at__gt=clock.after(-limits().handler_slow_seconds))
    tried = marked().filter(~late, tries__gt=0).order_by("next_try_at")
    for row in tried[:rows_max]:
        after = f"next try at {to_the_second(row.next_try_at)}"
        if row.started_at is not None:
            since = to_the_second(row.started_at)
            yield f"removal of {row.name}: try {row.tries} has not returned since {since}; {after}"
        else:
            yield f"removal of {row.name}: try {row.tries} failed ({row.error[:200]}); {after}"
    untried = marked().filter(tries=0, next_try_at__lt=clock.after(-limits().sweep_overdue_seconds))
    first = untried.order_by("next_try_at").values_list("next_try_at", flat=True).first()
    if first is not None:
        files = count(untried)
        more = " or more" if files >= limits().gauge_rows_max else ""
        yield (
            f"{files}{more} files have waited to be removed since {to_the_second(first)}; check "
            "that `joblot serve`, `joblot sweep --forever` or `joblot deliver --forever` runs"
        )
