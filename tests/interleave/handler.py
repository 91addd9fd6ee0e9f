"""The adopter's event handler in every scene: its writes must exist exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from joblot.ledger.db.transactions import alias
from joblot.ledger.report import hooks
from joblot.models import Event, Log

KINDS = ("claimed", "finished", "amended")
TELLS = "handled event"


@contextmanager
def registered() -> Iterator[None]:
    """Inside the block, it is the only handler."""
    before = dict(hooks._on_event)
    hooks._on_event.clear()
    hooks.on_event(*KINDS)(tell)
    try:
        yield
    finally:
        hooks._on_event.clear()
        hooks._on_event.update(before)


def tell(event: hooks.JobNotice) -> None:
    """Write a row to a table that the scenes save and restore."""
    Log.ledger.using(alias()).create(
        job_id=event.job_id, run=event.run, level="info", message=f"{TELLS} {event.id}"
    )


def check_told(job_id: int, *, all_: bool) -> None:
    """Assert that no event came twice and all in order; with `all_`, that none is missing."""
    rows = Log.objects.filter(job_id=job_id, message__startswith=TELLS).order_by("pk")
    handled = [int(text.rpartition(" ")[2]) for text in rows.values_list("message", flat=True)]
    assert handled == sorted(set(handled)), f"handled twice, or out of order: {handled}"
    if all_:
        events = Event.objects.filter(job_id=job_id, kind__in=KINDS).values_list("pk", flat=True)
        assert set(handled) == set(events), f"handled {handled}, expected {sorted(events)}"
