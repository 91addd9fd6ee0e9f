"""One of several processes: `python -m joblot.project.process`, with a supervisor.

It answers with the pipelines it serves, or the reason why it does not, or no longer.
"""

from __future__ import annotations

import logging
import sys

from joblot.log_format import log_to_stderr
from joblot.project.order import ProjectOrder
from joblot.standalone import setup
from joblot.worker import Worker
from joblot.worker.ending import drain_when_asked
from joblot.worker.handlers import by_pipeline
from joblot.worker.process import DONE, UNAVAILABLE, answering
from joblot.worker.pulse import Pulse
from joblot.worker.supervised import Supervised


def main() -> int:
    supervised = Supervised.begin()
    if (given := supervised.order()) is None:
        return DONE
    order = ProjectOrder(**given)
    return answering(supervised, lambda: _serve(order, supervised))


def _serve(order: ProjectOrder, supervised: Supervised) -> int:
    setup()
    log_to_stderr("joblot worker %(process)d")
    if order.verbose:
        logging.getLogger("joblot").setLevel(logging.INFO)
    from joblot.project.declared_work import handlers_of_project  # noqa: PLC0415 (needs setup)
    from joblot.project.serving import serve  # noqa: PLC0415

    handlers = handlers_of_project(order.pipelines, order.retrying)

    def begin(worker: Worker) -> None:
        drain_when_asked(worker, supervised)
        supervised.answer(ready=list(by_pipeline(handlers)))

    pulse = Pulse(supervised.shared["pulse"])
    left = serve(order, handlers, begin, pulse=pulse, output=supervised.output)
    return UNAVAILABLE if left else DONE


if __name__ == "__main__":
    sys.exit(main())
