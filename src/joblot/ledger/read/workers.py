"""The workers: when each was last heard from, which pipelines it serves, and what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Coalesce

from joblot import clock
from joblot.config import limits
from joblot.ledger.db.statements import fetch, moment
from joblot.ledger.db.transactions import alias, connection, one_snapshot, repeated
from joblot.ledger.read.worker_figures import Figures, figures
from joblot.ledger.rows.worker_figures import minute_of
from joblot.models import LIVE, LIVE_BY_TIME, NO_OWNER, Job, Lease, WorkerInstance

RENEWALS_PER_LEASE = 3  # of joblot's workers
RENEW_SECONDS_MAX = 60.0  # between two of them
ONLINE_INTERVALS = 2  # without a sign of life, after which a worker is quiet
QUIET_INTERVALS = 4  # after which it is offline

Worker = tuple[int, str]  # the owner and the instance id


def interval_seconds(lease_seconds: float) -> float:
    """How often a worker that holds such a lease renews it."""
    return min(lease_seconds / RENEWALS_PER_LEASE, RENEW_SECONDS_MAX)


def idle_seconds() -> float:
    """How often a worker that holds nothing asks for work, at the least."""
    return limits().worker_offline_seconds / ONLINE_INTERVALS


@dataclass(slots=True)
class Holding:
    """What a worker holds, and its last sign of life that its leases or its requests show."""

    worker: Worker
    leases: int
    items: int
    until: datetime
    heard_at: datetime
    interval: float

    def silent_seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.heard_at).total_seconds())

    def is_silent(self, now: datetime) -> bool:
        """True once it has renewed nothing for longer than a worker that is alive."""
        return self.silent_seconds(now) > ONLINE_INTERVALS * self.interval


def database_now() -> datetime:
    ((now,),) = fetch(connection(), "db/clock")
    return moment(now)


def holdings(
    now: datetime,
    *,
    job_id: int | None = None,
    owner: int | None = None,
    which: Q | None = None,
    lasting: Mapping[int, float] | None = None,
) -> dict[Worker, Holding]:
    """What each worker holds in live leases: of one job or of all, of one owner or of all.

    A lease was last renewed its job's `lease_seconds` before it expires. `which` restricts the
    leases, in sums: a condition on their time would let PostgreSQL read those of all jobs.
    `lasting` are the jobs' `lease_seconds`, if the caller knows them.
    """
    live = LIVE_BY_TIME if job_id is None else LIVE & Q(job_id=job_id)
    rows = Lease.ledger.using(alias()).filter(live)
    if owner is not None:
        rows = rows.filter(Q(owner=owner) | Q(owner__isnull=True) if not owner else Q(owner=owner))
    of_jobs = rows.order_by().values("job_id", "worker", by=Coalesce("owner", NO_OWNER))
    sums = list(
        of_jobs.annotate(
            leases=Count("pk", filter=which),
            items=Sum("open", filter=which),
            until=Max("expires_at", filter=which),
            claimed=Max("claimed_at", filter=which),
        )
    )
    sums = [row for row in sums if row["leases"]]
    if lasting is None:
        lasting = _lease_seconds({row["job_id"] for row in sums})
    found: dict[Worker, Holding] = {}
    for row in sums:
        seconds = lasting.get(row["job_id"], RENEW_SECONDS_MAX * RENEWALS_PER_LEASE)
        renewed = min(now, max(row["until"] - timedelta(seconds=seconds), row["claimed"]))
        key = (row["by"], row["worker"])
        one = Holding(
            key, row["leases"], row["items"], row["until"], renewed, interval_seconds(seconds)
        )
        found[key] = _together(found[key], one) if key in found else one
    for key, at in _seen_at(found).items():
        found[key].heard_at = max(found[key].heard_at, min(now, at))
    return found


def _lease_seconds(jobs: Collection[int]) -> dict[int, float]:
    rows = Job.ledger.using(alias()).filter(pk__in=jobs).values_list("pk", "policy")
    return {job_id: float(policy["lease_seconds"]) for job_id, policy in rows}


def _together(one: Holding, other: Holding) -> Holding:
    return Holding(
        one.worker,
        one.leases + other.leases,
        one.items + other.items,
        max(one.until, other.until),
        max(one.heard_at, other.heard_at),
        min(one.interval, other.interval),
    )


def _seen_at(workers: Iterable[Worker]) -> dict[Worker, datetime]:
    wanted = set(workers)
    rows = _rows().filter(instance__in={instance for _, instance in wanted})
    found = rows.values_list("owner", "instance", "last_seen_at")
    return {(owner, name): at for owner, name, at in found if (owner, name) in wanted}


@repeated
@one_snapshot()
def workers(owner: int | None = None) -> list[dict[str, Any]]:
    """Workers ever seen, last seen first, at most `page_items_max`; of one owner, or all.

    `state` is online, quiet or offline, by the worker's own interval between signs of life: that of
    renewals while it holds leases, otherwise that of claims. `items_per_minute` is over the last
    five minutes, `failed_last_hour` and `last_error` over the last hour, by what the worker
    reported; they may be too low for `worker_seen_seconds`.
    """
    now = database_now()
    rows = _rows() if owner is None else _rows().filter(owner=owner)
    page = list(rows.order_by("-last_seen_at", "-pk")[: limits().page_items_max])
    held, did = holdings(now, owner=owner), figures(now, owner)
    idle = Figures(minute_of(now))
    keys = [(row.owner, row.instance) for row in page]
    return [
        _shown(row, held.get(key), did.get(key, idle), now)
        for row, key in zip(page, keys, strict=True)
    ]


def _shown(row: Any, held: Holding | None, did: Figures, now: datetime) -> dict[str, Any]:
    about = row.about if isinstance(row.about, Mapping) else {}
    heard = max(row.last_seen_at, held.heard_at) if held else row.last_seen_at
    return {
        "owner": row.owner,
        "instance": row.instance,
        "host": str(about.get("host", "")),
        "version": str(about.get("version", "")),
        "about": about,
        "pipelines": row.pipelines,
        "state": _state(heard, now, held.interval if held else idle_seconds()),
        "first_seen_at": row.first_seen_at.isoformat(),
        "last_seen_at": heard.isoformat(),
        "leases": held.leases if held else 0,
        "items": held.items if held else 0,
        "until": held.until.isoformat() if held else None,
        "items_per_minute": did.per_minute(now, row.first_seen_at),
        "failed_last_hour": did.failed,
        "last_error": did.error,
        "revoked_at": row.revoked_at and row.revoked_at.isoformat(),
        "revoked_by": row.revoked_by,
        "revoked_reason": row.revoked_reason,
    }


def _state(heard: datetime, now: datetime, interval: float) -> str:
    """A time far in the future is one that a clock which was ahead has left: not online."""
    apart = abs((now - heard).total_seconds())
    if apart < ONLINE_INTERVALS * interval:
        return "online"
    return "quiet" if apart < QUIET_INTERVALS * interval else "offline"


@repeated
@one_snapshot()
def presence(now: datetime | None = None) -> dict[str, int]:
    """How many are online as `workers` says, how many are not, and how many are revoked."""
    revoked, online = Q(revoked_at__isnull=False), is_online(now or database_now())
    return dict(
        _rows().aggregate(
            online=Count("pk", filter=online & ~revoked),
            offline=Count("pk", filter=~online & ~revoked),
            revoked=Count("pk", filter=revoked),
        )
    )


def serving(project: str, owner: int | None = None, *, online: Q | None = None) -> Counter[str]:
    """How many workers that are online, and may work on jobs of the project, serve each pipeline;
    of one owner, or all. `online` is the answer of `is_online`, if the caller has it.
    """
    online = is_online(database_now()) if online is None else online
    rows = _rows().filter(online, revoked_at__isnull=True)
    rows = rows if owner is None else rows.filter(owner=owner)
    recent = rows.order_by("-last_seen_at").values_list("pipelines", "projects")
    able = (
        pipelines
        for pipelines, projects in recent[: limits().page_items_max]
        if projects is None or project in projects
    )
    return Counter(name for names in able for name in names)


@repeated
def described(owner: int, instance: str) -> dict[str, Any]:
    """What the worker has said about itself; empty if it was never seen."""
    found = _rows().filter(owner=owner, instance=instance).values_list("about", flat=True).first()
    return dict(found) if isinstance(found, Mapping) else {}


def is_online(now: datetime) -> Q:
    """Workers without leases count as online if they were seen recently; those with leases, if they
    renew them: they ask for nothing while a call takes long.
    """
    held = holdings(now)
    rows = _rows().filter(instance__in={instance for _, instance in held})
    holders, online = [], []
    for pk, owner, name, seen in rows.values_list("pk", "owner", "instance", "last_seen_at"):
        if one := held.get((owner, name)):
            holders.append(pk)
            if _state(max(seen, one.heard_at), now, one.interval) == "online":
                online.append(pk)
    return Q(pk__in=online) | (is_recent() & ~Q(pk__in=holders))


def is_recent() -> Q:
    """Nor far in the future, where a clock that was ahead may have put it."""
    seconds = limits().worker_offline_seconds
    return Q(last_seen_at__gt=clock.after(-seconds), last_seen_at__lt=clock.after(seconds))


def _rows() -> Any:
    return WorkerInstance.ledger.using(alias())
