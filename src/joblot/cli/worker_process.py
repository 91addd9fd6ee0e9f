"""One worker process of `joblot run`. It gets a RunOrder, then the job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from joblot.cli import alive, verbs
from joblot.cli.bad_entries import failed_first
from joblot.cli.callee import loaded
from joblot.cli.local_client import LocalClient, wait_seconds
from joblot.cli.records.ended import Journal, JournalingClient
from joblot.cli.useless import stopping
from joblot.config import limits
from joblot.errors import InvalidInput, JoblotError
from joblot.log_format import log_to_stderr
from joblot.log_writing.printed import to_job_log
from joblot.log_writing.writer import writer
from joblot.search_path import add_working_folder
from joblot.standalone import setup
from joblot.wire import Error
from joblot.worker import Handler, Worker, WorkerSettings, handler
from joblot.worker.command import END_SECONDS, Command
from joblot.worker.ending import drain_when_asked, ended_when_stuck, leave_frozen, leaving
from joblot.worker.printed import Keep, Printed
from joblot.worker.pulse import Pulse
from joblot.worker.recycling import Recycler, Recycling
from joblot.worker.retrying import Retrying
from joblot.worker.supervised import Supervised


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a worker process is started for. `batch` 0: the function takes one item.

    With `journal`, it answers which items have ended. `main` and `pickled` are of a Callee, `path`
    and `location` the search path and the database of the caller.
    """

    name: str
    function: str
    pipeline: str
    batch: int
    item_seconds_max: float
    db: str | None
    retry_on: Sequence[str] = ()
    no_retry_on: Sequence[str] = ()
    command: str = ""
    recycle_items: int = 0
    recycle_mb: int = 0
    keep_output: str = Keep.FAILED.value
    journal: bool = False
    main: str = ""
    pickled: str = ""
    path: Sequence[str] = ()
    location: str = ""

    @property
    def call_seconds_max(self) -> float:
        """A call that takes longer is frozen. A command is killed before that."""
        return self.item_seconds_max + (END_SECONDS if self.command else 0.0)

    def handler(self) -> Handler:
        """Raises InvalidInput if the work can't be loaded."""
        retrying = Retrying(frozenset(self.retry_on), frozenset(self.no_retry_on))
        if self.command:
            command = Command.parsed(self.command, self.item_seconds_max)
            return Handler(self.pipeline, command.work(retrying))
        function = loaded(self.function, self.main, self.pickled)
        return handler(self.pipeline, function, batch=self.batch, retrying=retrying)

    def prepare(self) -> None:
        """Open the database, and set where modules are found. Raises InvalidInput, Unavailable."""
        setup(path=self.db)
        if self.location and (found := verbs.location()) != self.location:
            raise InvalidInput(
                f"worker processes would use {found}, not {self.location}: name the database in "
                "JOBLOT_DATABASE_URL or DJANGO_SETTINGS_MODULE"
            )
        if self.path:
            sys.path[:] = self.path
        else:
            add_working_folder()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def main() -> int:
    supervised = Supervised.begin()
    if (given := supervised.order()) is None:
        return 0
    order = RunOrder(**given)
    try:
        order.prepare()
        served = order.handler()
    except JoblotError as error:
        supervised.answer(error=str(error), code=error.code)
        return 2
    supervised.answer(ready=True)
    job = supervised.order()
    code = _work(order, served, job["job"], supervised) if job is not None else 0
    supervised.answer(done=code)
    return code


def _work(order: RunOrder, served: Handler, job: int, supervised: Supervised) -> int:
    def useless(error: Error) -> None:
        supervised.answer(useless=f"{error.type}: {error.message}")

    recycler = Recycler(Recycling(order.recycle_items, order.recycle_mb))
    printed = Printed(Keep(order.keep_output), to_job_log(order.name), supervised.output)
    work = printed.kept(recycler.watched(served.work))
    work = stopping(failed_first(work), useless)
    client = LocalClient()
    if order.journal:
        journal = Journal(lambda ended: supervised.answer(ended=ended))
        work, client = journal.timed(work), JournalingClient(journal)
    worker = Worker(
        client,
        [replace(served, work=work)],
        WorkerSettings(
            job=job,
            name=order.name,
            wait_seconds=wait_seconds(),
            item_seconds_max=order.call_seconds_max,
        ),
        on_frozen=leave_frozen,
        pulse=Pulse(supervised.shared["pulse"]),
    )
    drain_when_asked(worker, supervised)
    recycler.due = leaving(worker, supervised)
    with ended_when_stuck(order.call_seconds_max):
        left = worker.run()
    writer().flush(limits().log_flush_seconds)
    if left:
        return 1
    alive.forget(order.name)  # it holds nothing; its supervisor may be gone
    return 0


if __name__ == "__main__":
    log_to_stderr("joblot worker")
    sys.exit(main())
