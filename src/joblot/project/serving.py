"""A worker of the project in this process, assembled from its parts.

It needs no spool: a result that has no receipt yet is in memory, and its item is worked on again
if the process dies. So it reports each lease before it begins the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from joblot.cli.local_client import LocalClient, wait_seconds
from joblot.project.connections import with_usable_connections
from joblot.project.order import ProjectOrder
from joblot.worker import Handler, Worker, WorkerSettings
from joblot.worker.about import new_instance
from joblot.worker.ending import ended_when_stuck, leave_frozen
from joblot.worker.pulse import Pulse

logger = logging.getLogger("joblot.worker")


def serve(
    order: ProjectOrder,
    handlers: Sequence[Handler],
    on_worker: Callable[[Worker], None],
    pulse: Pulse | None = None,
) -> int:
    """Work until `drain` is called on the worker that is passed to `on_worker`.

    Returns how many results could not be reported, 0 unless the database was away at the end.
    """
    worker = Worker(
        LocalClient(),
        [with_usable_connections(one) for one in handlers],
        WorkerSettings(
            job=order.job,
            name=new_instance(),
            wait_seconds=wait_seconds(),
            item_seconds_max=order.item_seconds_max,
        ),
        on_frozen=leave_frozen,
        pulse=pulse,
    )
    on_worker(worker)
    with ended_when_stuck(order.call_seconds_max):
        left = worker.run()
    if left:
        logger.warning("%d results could not be reported; their items are worked on again", left)
    return left
