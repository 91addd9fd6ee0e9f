"""`joblot.map`: what `joblot run` does, for scripts and notebooks."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblot.cli import failures, text, verbs
from joblot.cli.callee import Callee, is_loading_main
from joblot.cli.cores import cores
from joblot.cli.database import make_database, sqlite_file
from joblot.cli.happenings import Interrupted
from joblot.cli.mapped import Mapped, off_loop
from joblot.cli.plan import EXPIRIES_MAX, Plan
from joblot.cli.records.records import Records
from joblot.cli.resumption import reawaken
from joblot.cli.run import Run
from joblot.cli.source import BadEntry, NewItem
from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.operator_name import operator
from joblot.places import absolute
from joblot.standalone import is_embedded
from joblot.states import RETRYABLE, TERMINAL
from joblot.words import status_word
from joblot.worker.plain import plain
from joblot.worker.printed import Keep
from joblot.worker.settings import ITEM_SECONDS_MAX

UNDER_MAIN = (
    "joblot.map was called while a worker imported this script: put the call under `if __name__ == "
    '"__main__":`'
)


def map(  # noqa: A001 (as the built-in one, in the namespace `joblot`)
    func: Callable[..., Any] | str,
    items: Iterable[Any],
    *,
    key: str | None = None,
    job: int | None = None,
    retry: bool = False,
    batch: int = 0,
    workers: int | None = None,
    name: str | None = None,
    item_seconds_max: float = ITEM_SECONDS_MAX,
    retry_on: Sequence[str] = (),
    no_retry_on: Sequence[str] = (),
    recycle_items: int = 0,
    recycle_mb: int = 0,
    keep_output: str = Keep.FAILED.value,
    policy: Mapping[str, Any] | None = None,
    joblog: str | Path | None = None,
    db: str | Path | None = None,
    progress: bool = True,
) -> Mapped:
    """Call `func` with each item, on several processes, durably; return the outputs in order.

    Items and outputs are JSON, with the additions that functions of `joblot run` have. `func` is a
    function of a module or of the script, or `"module:function"`; with cloudpickle installed, any
    function, also of a notebook. It may be async. With `batch`, it gets lists of up to so many.

    With a `key`, the same call continues what an earlier one has begun, after any interruption, and
    returns at once what is complete; `job` continues the job of that number. Give the same items.
    `retry` repeats what has failed. The other options are those of `joblot run`. `db` is an SQLite
    file; by default it is the project's database or joblot's own.

    `progress` is shown on standard error. Ctrl-C and SIGTERM finish the items that have begun, and
    raise KeyboardInterrupt and SystemExit. Raises what `items` raises; InvalidInput, Unavailable;
    KeyConflict for other items or options under the same key; WrongStatus for a canceled job.
    """
    if is_loading_main():
        raise InvalidInput(UNDER_MAIN)
    if key is not None and job is not None:
        raise InvalidInput("joblot.map: expected a key or a job, got both")
    folder, label = os.getcwd(), Callee.of(func)  # noqa: PTH109 (as text)
    plan = Plan(
        label.label,
        batch,
        folder,
        item_seconds_max,
        retry_on,
        no_retry_on,
        recycle_items=recycle_items,
        recycle_mb=recycle_mb,
        keep_output=Keep.of(keep_output).value,
    )
    records = Records(joblog=None if joblog is None else str(joblog))
    records.check(job)
    call = _Call(plan, label, _Given(items), key=key, job=job, retry=retry, records=records)
    call.name, call.policy, call.progress = name or label.label, dict(policy or {}), progress
    path = None if db is None else absolute(Path(db))
    return off_loop(lambda: call.answer(path, workers), call.interrupt)


@dataclass(slots=True)
class _Given:
    """The items of a call, as a source of a run. `error` is what the iterable raised."""

    items: Iterable[Any]
    error: Exception | None = None
    skip_bad: bool = False

    def entries(self) -> Iterator[NewItem | BadEntry]:
        yield from self.all()

    def all(self) -> Iterator[NewItem]:
        longest = limits().item_key_chars_max
        try:
            for number, item in enumerate(self.items):
                value = plain(item)
                named = f"{number} {value}" if isinstance(value, str) else str(number)
                yield {"key": named[:longest], "payload": value}
        except Exception as error:
            self.error = error
            raise InvalidInput(f"items: {type(error).__name__}: {error}") from error


@dataclass(slots=True)
class _Call:
    plan: Plan
    callee: Callee
    given: _Given
    key: str | None
    job: int | None
    retry: bool
    records: Records
    name: str = ""
    policy: dict[str, Any] = field(default_factory=dict)
    progress: bool = True
    _run: Run | None = None

    def interrupt(self) -> None:
        if self._run is not None:
            self._run.notify(Interrupted(signal.SIGINT))

    def answer(self, db: Path | None, workers: int | None) -> Mapped:
        make_database(db)
        file = sqlite_file() if is_embedded() else None
        if db is not None and file != db:
            raise InvalidInput(f"db: this process uses {verbs.location()} already")
        used = str(file) if file is not None else None
        self._run = run = Run(self.plan, workers or cores().count, used, self.records)
        run.quiet = not self.progress
        run.more = {**self.callee.fields(), "path": _path(), "location": verbs.location()}
        run.prepare()
        try:
            job = self.job or self._job()
            ended = not self._continues(job)
        except BaseException:
            run.abandon()
            raise
        if ended:
            run.abandon()
            verbs.add_items(job, self.given.all(), seal=True)
            return self._mapped(job)
        return self._worked(run, job)

    def _job(self) -> int:
        """A new job, or the one with this key."""
        job = verbs.submit(
            self.name[:200],
            stages=[{"name": self.plan.stage, "pipeline": self.plan.pipeline}],
            config={"map": {"function": self.plan.function}},
            policy={"expiries_max": EXPIRIES_MAX, **self.policy},
            seal=False,
            idempotency_key=self.key,
            actor=operator(),
        )
        return int(job.pk)

    def _continues(self, job: int) -> bool:
        status = verbs.read_job(job).status
        if self.retry and status in RETRYABLE:
            verbs.retry(job, actor=operator())
            return True
        return status not in TERMINAL

    def _worked(self, run: Run, job: int) -> Mapped:
        reawaken(job)
        state = run.work(job, self.given, resumed=self.key is not None or self.job is not None)
        finished = state["status"] in TERMINAL
        self.records.end(job, finished=finished)
        if self.progress:
            standing = f"{status_word(state['status'])}, {text.progress_line(state)}"
            text.err().print(f"job {job}: {standing}")
            failures.brief(verbs.summary(job), text.err())
        if self.given.error is not None:
            raise self.given.error
        if not finished:
            raise _unfinished(run, job)
        return self._mapped(job)

    def _mapped(self, job: int) -> Mapped:
        state = verbs.progress(job)
        stage = state["stages"][-1]
        return Mapped(job, total=state["total"], failed=state["total"] - stage["succeeded"])


def _unfinished(run: Run, job: int) -> BaseException:
    how = f"job {job} is not finished: the same call with its key, or with job={job}, continues it"
    by_ctrl_c = run.interrupted in (0, signal.SIGINT)
    stopped = KeyboardInterrupt() if by_ctrl_c else SystemExit(128 + run.interrupted)
    error: BaseException = run.error or stopped
    error.add_note(how)
    return error


def _path() -> list[str]:
    """This process's search path for modules."""
    return [one or os.getcwd() for one in sys.path]  # noqa: PTH109 (as text)
