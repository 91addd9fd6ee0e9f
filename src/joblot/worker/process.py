"""A process of `joblot worker`: `python -m joblot.worker.process`, with a supervisor.

It answers with the pipelines it serves, or the reason why it does not, or no longer.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace

from joblot.errors import InvalidInput, JoblotError, Refused
from joblot.log_format import log_to_stderr
from joblot.search_path import add_working_folder
from joblot.worker.ending import drain_when_asked, leaving
from joblot.worker.handlers import by_pipeline
from joblot.worker.loop import Worker
from joblot.worker.order import Order
from joblot.worker.pulse import Pulse
from joblot.worker.recycling import Recycler, Recycling
from joblot.worker.serving import serve
from joblot.worker.supervised import Supervised

DONE, USAGE, REFUSED, UNAVAILABLE = 0, 2, 3, 4  # as on the command line


def main() -> int:
    supervised = Supervised.begin()
    if (given := supervised.order()) is None:
        return DONE
    order = Order(**given)
    log_to_stderr("joblot worker %(process)d")
    logging.getLogger("joblot").setLevel(logging.INFO if order.verbose else logging.WARNING)
    add_working_folder()
    return answering(supervised, lambda: _serve(order, supervised))


def answering(supervised: Supervised, serve: Callable[[], int]) -> int:
    """Serve, and answer with the exit code, and why if it could not; returns the code."""
    try:
        code = serve()
    except JoblotError as error:
        code = exit_code(error)
        supervised.answer(error=str(error), exit_code=code)
    supervised.answer(done=code)
    return code


def _serve(order: Order, supervised: Supervised) -> int:
    recycler = Recycler(Recycling(order.recycle_items, order.recycle_mb))
    handlers = [replace(one, work=recycler.watched(one.work)) for one in order.handlers()]
    pipelines = list(by_pipeline(handlers))

    def begin(worker: Worker) -> None:
        drain_when_asked(worker, supervised)
        recycler.due = leaving(worker, supervised)
        supervised.answer(ready=pipelines)

    pulse = Pulse(supervised.shared["pulse"])
    left = serve(order, handlers, begin, pulse=pulse, output=supervised.output)
    return UNAVAILABLE if left else DONE


def exit_code(error: JoblotError) -> int:
    """That of a worker that could not serve, as on the command line."""
    if isinstance(error, InvalidInput):
        return USAGE
    return REFUSED if isinstance(error, Refused) else UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
