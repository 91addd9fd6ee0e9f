"""The jobs on which verbs run concurrently: a scene is a job in one state, with its leases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from joblot import faults
from joblot.ledger.job.lifecycle import cancel, delete, pause
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.models import Job
from joblot.wire import GrantedLease
from tests.ledger import worker
from tests.ledger.statuses import Cut, die
from tests.ledger.worker import TWO_STAGES, fail, keys, numbers

KEY = "once"  # the key with which the job is submitted again
WORKER = "gpu-1"  # that holds `live`
SECONDS = 1000  # after these each lease is overdue and each wait over


@dataclass(slots=True)
class Scene:
    """`live` is a lease that holds only the job's item 0, `expired` one that held it before.

    `removing`: the job was deleted before the scene begins. `open`: the job is open, and the verb
    `submit` continues it.
    """

    job: Job
    live: GrantedLease | None = None
    expired: GrantedLease | None = None
    removing: bool = False
    open: bool = False

    def __post_init__(self) -> None:
        assert self.live is None or numbers(self.live) == [0]


def filling() -> Scene:
    """An open job of two items: one leased for the second time, one waiting."""
    job = submit("explored", keys(2), pipeline="p", seal=False, idempotency_key=KEY)
    expired = worker.lease(limit=1)
    expire(expired.token)
    return Scene(job, worker.lease(limit=1), expired, open=True)


def created() -> Scene:
    """A job of one item that was not started."""
    return Scene(submit("explored", keys(1), pipeline="p", start=False, idempotency_key=KEY))


def running() -> Scene:
    """Four items: one leased for the second time, one returned, and two ranges never claimed."""
    job = submit("explored", keys(3), pipeline="p", seal=False, idempotency_key=KEY)
    expired = worker.lease(limit=2)
    expire(expired.token)
    add_items(job.pk, keys(4))
    seal(job.pk)
    return Scene(job, worker.lease(limit=1, worker=WORKER), expired)


def last() -> Scene:
    """The last item, leased for the second time; it is lost when its lease expires."""
    one = {"expiries_max": 1}
    job = submit("explored", keys(1), pipeline="p", policy=one, idempotency_key=KEY)
    expired = worker.lease()
    expire(expired.token)
    return Scene(job, worker.lease(worker=WORKER), expired)


def staged() -> Scene:
    """The last item, in the first of two stages, leased for the second time."""
    job = submit("explored", keys(1), stages=TWO_STAGES, idempotency_key=KEY)
    expired = worker.lease()
    expire(expired.token)
    return Scene(job, worker.lease(), expired)


def paused() -> Scene:
    scene = filling()
    pause(scene.job.pk)
    return scene


def canceling() -> Scene:
    """A cancel whose grace is over, not continued yet."""
    scene = running()
    cancel(scene.job.pk, grace_seconds=10)
    return scene


def failed() -> Scene:
    """An ended job: its item failed, but was leased before, so that a late success amends it."""
    scene = last()
    assert scene.live
    fail(scene.live)
    return scene


def failing() -> Scene:
    """Two items of a running job: one failed, leased for the second time, the other one waits."""
    job = submit("explored", keys(2), pipeline="p", idempotency_key=KEY)
    expired = worker.lease(limit=1)
    expire(expired.token)
    live = worker.lease(limit=1)
    fail(live)
    return Scene(job, live, expired)


def deleted() -> Scene:
    """The failed job, deleted; its removal has not been continued."""
    scene = failed()
    delete(scene.job.pk)
    return replace(scene, removing=True)


def retrying() -> Scene:
    """The failed job after a retry whose caller died once the next run had begun."""
    scene = failed()
    try:
        with faults.armed("retry: next run begun", die):
            retry(scene.job.pk)
    except Cut:
        return scene
    raise AssertionError("the retry did not die")


SCENES: dict[str, Callable[[], Scene]] = {
    scene.__name__: scene
    for scene in (
        filling,
        created,
        running,
        last,
        staged,
        paused,
        canceling,
        failed,
        deleted,
        retrying,
        failing,
    )
}
