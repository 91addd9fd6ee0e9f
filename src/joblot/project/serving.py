"""A worker of the project in this process, assembled from its parts.

It needs no spool: a result that has no receipt yet is in memory, and its item is worked on again
if the process dies. So it reports each lease before it begins the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from joblot.cli.local_client import LocalClient, wait_seconds
from joblot.config import limits
from joblot.log_writing.printed import to_job_log
from joblot.log_writing.writer import writer
from joblot.project.connections import with_usable_connections
from joblot.project.order import ProjectOrder
from joblot.shown import counted
from joblot.worker import Handler, Worker, WorkerSettings
from joblot.worker.about import new_instance
from joblot.worker.ending import ended_when_stuck, leave_frozen
from joblot.worker.printed import ItemOutput, Keep, keeping
from joblot.worker.pulse import Pulse

logger = logging.getLogger("joblot.worker")


def serve(
    order: ProjectOrder,
    handlers: Sequence[Handler],
    on_worker: Callable[[Worker], None],
    *,
    pulse: Pulse | None = None,
    output: ItemOutput | None = None,
) -> int:
    """Work until `drain` is called on the worker that is passed to `on_worker`.

    A supervisor reads `output`. Without it, what passes through Python's streams is kept. Returns
    how many results could not be reported, 0 unless the database was away at the end.
    """
    name = new_instance()
    with keeping(handlers, Keep.of(order.keep_output), to_job_log(name), output) as kept:
        worker = Worker(
            LocalClient(),
            [with_usable_connections(one) for one in kept],
            WorkerSettings(
                job=order.job,
                name=name,
                wait_seconds=wait_seconds(),
                item_seconds_max=order.item_seconds_max,
            ),
            on_frozen=leave_frozen,
            pulse=pulse,
        )
        on_worker(worker)
        with ended_when_stuck(order.call_seconds_max):
            left = worker.run()
    writer().flush(limits().log_flush_seconds)
    if left:
        results = counted(left, "result")
        logger.warning("%s could not be reported; their items are worked on again", results)
    return left
