"""A worker process: `python -m joblot.worker.process`, with its order as a line on standard input.

When that pipe closes, because its crew says so or is gone, it drains. It answers on the order's
descriptor: ready, or why not.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import IO

from joblot.errors import InvalidInput, JoblotError, Refused
from joblot.worker.ending import drain_at_end, drain_on_signals, take_stdin
from joblot.worker.handlers import by_pipeline
from joblot.worker.loop import Worker
from joblot.worker.order import Order
from joblot.worker.serving import serve

DONE, USAGE, REFUSED, UNAVAILABLE = 0, 2, 3, 4  # as those of the command line


def main() -> int:
    orders = take_stdin()
    order = Order.of_line(orders.readline())
    logging.basicConfig(level=logging.WARNING, format="joblot worker %(process)d: %(message)s")
    logging.getLogger("joblot").setLevel(logging.INFO if order.verbose else logging.WARNING)
    with os.fdopen(order.answers, "w", buffering=1) as answers:
        os.set_inheritable(order.answers, False)
        answer = partial(_answer, answers)
        try:
            return _serve(order, orders, answer)
        except JoblotError as error:
            code = _exit_code(error)
            answer({"error": str(error), "exit_code": code})
            return code


def _serve(order: Order, orders: IO[str], answer: Callable[[dict[str, object]], None]) -> int:
    handlers = order.handlers()
    pipelines = list(by_pipeline(handlers))

    def begin(worker: Worker) -> None:
        drain_on_signals(worker)
        drain_at_end(orders, worker)
        answer({"ready": pipelines})

    return UNAVAILABLE if serve(order, handlers, begin) else DONE


def _exit_code(error: JoblotError) -> int:
    if isinstance(error, InvalidInput):
        return USAGE
    return REFUSED if isinstance(error, Refused) else UNAVAILABLE


def _answer(answers: IO[str], answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    sys.exit(main())
