"""One worker process of `joblot run`. It gets a RunOrder, then the job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from joblot.cli import alive
from joblot.cli.bad_entries import failed_first
from joblot.cli.local_client import LocalClient
from joblot.cli.useless import stopping
from joblot.errors import JoblotError
from joblot.log_format import log_to_stderr
from joblot.search_path import add_working_folder
from joblot.standalone import setup
from joblot.wire import Error
from joblot.worker import Worker, WorkerSettings, handler, load
from joblot.worker.ending import drain_when_asked, ended_when_stuck, leave_frozen
from joblot.worker.pulse import Pulse
from joblot.worker.retrying import Retrying
from joblot.worker.supervised import Supervised


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a worker process is started for. `batch` 0: the function takes one item."""

    name: str
    function: str
    pipeline: str
    batch: int
    item_seconds_max: float
    db: str | None
    retry_on: Sequence[str] = ()
    no_retry_on: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def main() -> int:
    supervised = Supervised.begin()
    if (given := supervised.order()) is None:
        return 0
    order = RunOrder(**given)
    try:
        setup(path=order.db)
        add_working_folder()
        function = load(order.function)
    except JoblotError as error:
        supervised.answer(error=str(error), code=error.code)
        return 2
    supervised.answer(ready=True)
    job = supervised.order()
    code = _work(order, function, job["job"], supervised) if job is not None else 0
    supervised.answer(done=code)
    return code


def _work(order: RunOrder, function: Callable[..., Any], job: int, supervised: Supervised) -> int:
    retrying = Retrying(frozenset(order.retry_on), frozenset(order.no_retry_on))
    one = handler(order.pipeline, function, batch=order.batch, retrying=retrying)

    def useless(error: Error) -> None:
        supervised.answer(useless=f"{error.type}: {error.message}")

    worker = Worker(
        LocalClient(),
        [replace(one, work=stopping(failed_first(one.work), useless))],
        WorkerSettings(job=job, name=order.name, item_seconds_max=order.item_seconds_max),
        on_frozen=leave_frozen,
        pulse=Pulse(supervised.shared["pulse"]),
    )
    drain_when_asked(worker, supervised)
    with ended_when_stuck(order.item_seconds_max):
        left = worker.run()
    if left:
        return 1
    alive.forget(order.name)  # it holds nothing; its supervisor may be gone
    return 0


if __name__ == "__main__":
    log_to_stderr("joblot worker")
    sys.exit(main())
