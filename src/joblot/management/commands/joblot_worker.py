"""`manage.py joblot_worker`: work on items with the functions that the project declares."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.management import BaseCommand, CommandError, CommandParser

from joblot.cli.clocks import running
from joblot.errors import InvalidInput, JoblotError
from joblot.log_format import log_to_stderr
from joblot.maintenance import supervise_until, sweep_until
from joblot.project.declared_work import handlers_of_project
from joblot.project.order import ProjectOrder
from joblot.project.reloading import Restarting, is_child, work_and_watch
from joblot.project.serving import serve
from joblot.worker import Worker
from joblot.worker.printed import Keep
from joblot.worker.process import DONE, UNAVAILABLE, exit_code
from joblot.worker.processes import WorkerProcesses
from joblot.worker.settings import ITEM_SECONDS_MAX


class Command(BaseCommand):
    help = (
        "Works on items with the functions that the project declares with @work, in work.py of "
        "its apps, until SIGTERM or Ctrl-C; then it finishes the calls in progress. With DEBUG, it "
        "restarts when the code changes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--pipeline", action="append", metavar="NAME", help="Serve only this. Repeatable.")
        add("--job", type=int, metavar="JOB", help="Work only on this job.")
        add(
            "--processes",
            type=int,
            metavar="N",
            help="Work in N processes, which are replaced when they die or freeze.",
        )
        add(
            "--item-seconds-max",
            type=float,
            default=ITEM_SECONDS_MAX,
            metavar="SECONDS",
            help="A call that takes longer counts as frozen, and its process is ended.",
        )
        add("--retry-on", action="append", metavar="CLASS", help="Also retry these errors.")
        add("--no-retry-on", action="append", metavar="CLASS", help="Don't retry these errors.")
        add(
            "--keep-output",
            choices=[one.value for one in Keep],
            default=Keep.FAILED.value,
            help="Of which items to keep what they print, in the job's log.",
        )
        add("--sweep", action="store_true", help="Sweep, too, so that no other process need do it.")
        add("--noreload", action="store_true", help="Don't restart when the code changes.")

    def handle(self, *args: Any, **options: Any) -> None:
        order = _order(options)
        log_to_stderr("joblot worker")
        if order.verbose:
            logging.getLogger("joblot").setLevel(logging.INFO)
        try:
            code = self._work(order, options)
        except JoblotError as error:
            raise CommandError(str(error), returncode=exit_code(error)) from error
        if code != DONE:
            sys.exit(code)

    def _work(self, order: ProjectOrder, options: dict[str, Any]) -> int:
        sweeping = _clocks(options["sweep"])
        if options["processes"] is not None:
            with sweeping:
                return self._in_processes(order, options["processes"])
        if not settings.DEBUG or options["noreload"]:
            with sweeping:
                return self._in_this(order)
        if not is_child():
            return Restarting().run()
        with sweeping:
            self._reloading(order)
        return DONE

    def _in_processes(self, order: ProjectOrder, size: int) -> int:
        if not os.environ.get(ENVIRONMENT_VARIABLE):
            raise InvalidInput(
                f"--processes: expected {ENVIRONMENT_VARIABLE} in the environment, by which the "
                "processes find the project; leave the option out to work in this process"
            )
        if size < 1:
            raise InvalidInput(f"--processes: expected at least 1, got {size}")
        workers = WorkerProcesses(order, size, "joblot.project.process", same_path=True)
        self._say(workers.start(), f" in {size} processes" if size > 1 else "")
        return workers.work()

    def _in_this(self, order: ProjectOrder) -> int:
        handlers = handlers_of_project(order.pipelines, order.retrying)

        def begin(worker: Worker) -> None:
            self._say([one.pipeline for one in handlers])
            _drain_on_signals(worker)

        return UNAVAILABLE if serve(order, handlers, begin) else DONE

    def _reloading(self, order: ProjectOrder) -> None:
        begun: list[Worker] = []

        def work() -> None:
            handlers = handlers_of_project(order.pipelines, order.retrying)
            self._say([one.pipeline for one in handlers])
            serve(order, handlers, begun.append)

        def drain() -> None:
            for worker in begun:
                worker.drain()

        work_and_watch(work, drain)

    def _say(self, pipelines: Any, how: str = "") -> None:
        self.stderr.write(f"joblot_worker: serving {', '.join(pipelines)}{how}")


def _order(options: dict[str, Any]) -> ProjectOrder:
    return ProjectOrder(
        pipelines=options["pipeline"] or (),
        job=options["job"],
        item_seconds_max=options["item_seconds_max"],
        retry_on=options["retry_on"] or (),
        no_retry_on=options["no_retry_on"] or (),
        keep_output=options["keep_output"],
        verbose=options["verbosity"] > 1,
    )


def _clocks(wanted: bool) -> AbstractContextManager[None]:
    return running(sweep_until, supervise_until) if wanted else nullcontext()


def _drain_on_signals(worker: Worker) -> None:
    """The first signal drains; a second one ends the process at once."""

    def drain(number: int, frame: FrameType | None) -> None:
        worker.drain()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain)
