"""Gauges of the whole installation, for monitoring. They are cheap, because they are read often.

No item is counted and no outcome is read. Only work in progress is counted, by the indexes that
claims and the sweep use, and at most `gauge_rows_max` rows of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Sum

from joblot.config import limits
from joblot.gauge import Gauge
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read import pulse
from joblot.ledger.read.drift import double_finals, drifted_jobs
from joblot.ledger.read.undelivered import open_deliveries
from joblot.ledger.read.worker_figures import failing
from joblot.ledger.read.workers import presence
from joblot.ledger.rows.deferrals import recent
from joblot.ledger.rows.outputs import marked
from joblot.ledger.rows.sweep_failures import failures
from joblot.models import LIVE_BY_TIME, Event, ItemRange, Job, Lease
from joblot.states import ACTIVE, TERMINAL


@repeated
@one_snapshot()
def gauges() -> list[Gauge]:
    """The work in progress, and how far the sweep is behind. Raises Unavailable."""
    ((now,),) = fetch(connection(), "db/clock")
    at = moment(now)
    work = [*_jobs(), *_leases(at), *_events(at), *_files(at)]
    return [*work, *_sweep(), *_finals(), *_deferred(), *_workers(at)]


def overdue_seconds(rows: Any, by: str, now: datetime) -> float:
    """How overdue the first of the rows is, ordered by the time `by`; 0 if none is."""
    first = rows.order_by(by).values_list(by, flat=True).first()
    return 0.0 if first is None else max(0.0, (now - first).total_seconds())


def count(rows: Any) -> int:
    """The number of rows, or `gauge_rows_max` if there are more."""
    return int(rows.order_by()[: limits().gauge_rows_max].count())


def _jobs() -> Iterator[Gauge]:
    means = "Jobs that have not ended, by their status."
    active = Job.ledger.using(alias()).filter(
        deleted_at__isnull=True, status__in=[status.value for status in ACTIVE]
    )
    found = dict(active.order_by().values_list("status").annotate(jobs=Count("pk")))
    for status in sorted(ACTIVE):
        yield Gauge("active_jobs", found.get(status.value, 0), means, {"status": status.value})
    means = "Jobs that have ended, by their status; at most `gauge_rows_max` of each are counted."
    for status in sorted(TERMINAL):
        ended = Job.ledger.using(alias()).filter(deleted_at__isnull=True, status=status.value)
        yield Gauge("ended_jobs", count(ended), means, {"status": status.value})
    due = fetch(connection(), "rows/jobs_due", jobs=limits().gauge_rows_max)
    yield Gauge("jobs_due", len(due), "Jobs that the next sweep has to end or to fold.")
    waiting = count(ItemRange.ledger.using(alias()))
    yield Gauge("waiting_ranges", waiting, "Ranges of items that wait to be claimed.")


def _leases(now: datetime) -> Iterator[Gauge]:
    live = Lease.ledger.using(alias()).filter(LIVE_BY_TIME)
    first = live.order_by("expires_at")[: limits().gauge_rows_max]
    held = first.aggregate(leases=Count("pk"), items=Sum("open", default=0))
    late = overdue_seconds(live, "expires_at", now)
    yield Gauge("live_leases", held["leases"], "Leases that are held.")
    yield Gauge("in_flight_items", held["items"], "Items that live leases hold.")
    yield Gauge("lease_overdue_seconds", late, "Since when an expired lease waits for the sweep.")


def _events(now: datetime) -> Iterator[Gauge]:
    waiting = Event.ledger.using(alias()).filter(dispatched_at__isnull=True)
    late = overdue_seconds(waiting, "next_try_at", now)
    yield Gauge("waiting_events", count(waiting), "Events that are not fanned out.")
    yield Gauge("event_overdue_seconds", late, "Since when an event waits to be fanned out.")
    deliveries = open_deliveries()
    late = overdue_seconds(deliveries, "next_try_at", now)
    means = "Events that a handler has not taken, for each handler."
    yield Gauge("untaken_events", count(deliveries), means)
    means = "Since when an event waits for the next try of its handler."
    yield Gauge("handler_overdue_seconds", late, means)


def _sweep() -> Iterator[Gauge]:
    ago = pulse.seconds_since_sweep()
    if ago is not None:
        yield Gauge("sweep_ago_seconds", ago, "Since when this process has not swept.")
    means = "Steps of the sweep that fail, each for one job."
    yield Gauge("sweep_failures", count(failures()), means)


def _finals() -> Iterator[Gauge]:
    """Whether the newest ended jobs are final once, and as they were counted."""
    means = "Ended jobs whose recorded counts are not their tallies; not 0 while one is amended."
    yield Gauge("drifted_jobs", drifted_jobs(), means)
    means = "Runs with more than one finished event; the database refuses these."
    yield Gauge("double_finals", double_finals(), means)


def _deferred() -> Iterator[Gauge]:
    means = "Results that a hook or the storage refused within the last minute."
    yield Gauge("deferred_results", count(recent()), means)


def _workers(now: datetime) -> Iterator[Gauge]:
    found = presence(now)
    yield Gauge(
        "online_workers",
        found["online"],
        "Workers that were seen recently, or renew what they hold.",
    )
    means = "Workers that are not online, and not removed yet; without revoked ones."
    yield Gauge("offline_workers", found["offline"], means)
    yield Gauge("revoked_workers", found["revoked"], "Workers that an operator has revoked.")
    means = "Workers that reported more failures than successes in the last hour."
    yield Gauge("failing_workers", failing(now), means)


def _files(now: datetime) -> Iterator[Gauge]:
    late = overdue_seconds(marked(), "next_try_at", now)
    means = "Files of large outputs that wait to be removed from the storage."
    yield Gauge("files_to_remove", count(marked()), means)
    means = "Since when a file waits for the next try to remove it."
    yield Gauge("file_removal_overdue_seconds", late, means)
