"""What `joblot.map` returns: a job's outputs in the order of its items, read from the ledger."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections

from joblot.cli import verbs
from joblot.errors import ItemFailed

A = TypeVar("A")
SUCCEEDED = "succeeded"


class Mapped:
    """The outputs of a job of `joblot.map`, in the order of the items; iterate it, or `list` it.

    They are read from the ledger in pages, so a million of them need no more memory than a page.
    The iterator raises ItemFailed at an item that failed or was lost; `results` yields these, too.
    `job` is the number of the job, `failed` how many items have no output.
    """

    def __init__(self, job: int, *, total: int, failed: int) -> None:
        self.job = job
        self.failed = failed
        self._total = total

    def __repr__(self) -> str:
        return f"<joblot.map: job {self.job}, {self._total} items, {self.failed} failed>"

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[Any]:
        for result in self.results():
            if result["state"] != SUCCEEDED:
                raise _item_failed(self.job, result)
            yield result["output"]

    def results(self) -> Iterator[dict[str, Any]]:
        """Each item as `{"item", "key", "state", "output", "metrics", "error"}`, in order.

        `state` is succeeded, failed or lost; `error` has `type`, `message` and `traceback`.
        """
        following: int | None = -1
        while following is not None:
            after = following
            page = off_loop(lambda: verbs.results_page(self.job, after=after))  # noqa: B023
            yield from page
            following = page.next


def _item_failed(job: int, result: dict[str, Any]) -> ItemFailed:
    error = result["error"] or {}
    cause = ": ".join(filter(None, [error.get("type"), error.get("message")]))
    failed = ItemFailed(f"job {job}, item {result['key']}: {cause or result['state']}")
    failed.job_id, failed.item, failed.key = job, result["item"], result["key"]
    if error.get("traceback"):
        failed.add_note(error["traceback"])
    return failed


def off_loop(call: Callable[[], A], interrupt: Callable[[], object] | None = None) -> A:
    """Call it, in another thread if an event loop runs in this one: a notebook has one.

    There, Django refuses to use its database. `interrupt` is called for a Ctrl-C meanwhile.
    """
    if not _has_loop():
        return call()
    future: Future[A] = Future()
    thread = threading.Thread(target=_answer, args=(call, future), name="joblot-map", daemon=True)
    with _interrupts(interrupt):
        thread.start()
        return future.result()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def _interrupts(interrupt: Callable[[], object] | None) -> Iterator[None]:
    """The loop's own handler would only cancel a task, which can't run meanwhile."""
    if interrupt is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: interrupt() and None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _answer(call: Callable[[], A], future: Future[A]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 (it is raised where the answer is awaited)
        future.set_exception(error)
    finally:
        connections.close_all()
