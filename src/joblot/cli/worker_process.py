"""One worker process of `joblot run`.

It reads its orders from standard input, a line of JSON each: first an Order, then the job. When
that pipe closes, because its supervisor says so or is gone, it drains. It answers on `answers`:
ready, or why not.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

from joblot.cli import alive
from joblot.cli.local_client import LocalClient
from joblot.errors import JoblotError
from joblot.standalone import setup
from joblot.worker import Worker, WorkerSettings, handler, load
from joblot.worker.ending import FROZEN_EXIT, drain_at_end, drain_on_signals, take_stdin

__all__ = ["FROZEN_EXIT", "Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker process is started for. `batch` 0 is a function of one item."""

    name: str
    function: str
    pipeline: str
    batch: int
    item_seconds_max: float
    db: str | None
    answers: int  # the descriptor to answer on

    def as_line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def main() -> int:
    orders = take_stdin()
    order = Order(**json.loads(orders.readline()))
    with os.fdopen(order.answers, "w", buffering=1) as answers:
        os.set_inheritable(order.answers, False)
        try:
            setup(path=order.db)
            function = load(order.function)
        except JoblotError as error:
            answers.write(json.dumps({"error": str(error), "code": error.code}) + "\n")
            return 2
        answers.write(json.dumps({"ready": True}) + "\n")
    line = orders.readline()
    return _work(order, function, json.loads(line)["job"], orders) if line else 0


def _work(order: Order, function: Callable[..., Any], job: int, orders: IO[str]) -> int:
    worker = Worker(
        LocalClient(),
        [handler(order.pipeline, function, batch=order.batch)],
        WorkerSettings(job=job, name=order.name, item_seconds_max=order.item_seconds_max),
        on_frozen=_leave_frozen,
    )
    drain_on_signals(worker)
    drain_at_end(orders, worker)
    if worker.run():
        return 1
    alive.forget(order.name)  # it holds nothing; its supervisor may be gone
    return 0


def _leave_frozen(seconds: float) -> None:
    """Nothing can stop a call from outside but the end of its process."""
    os._exit(FROZEN_EXIT)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="joblot worker: %(message)s")
    sys.exit(main())
