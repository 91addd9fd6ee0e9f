"""What this thread's function is working on, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from joblot.log_context import job_log
from joblot.wire import CallProgress, GrantedLease

Note = Callable[[CallProgress], None]

# Threads: each has its own.
_of_thread = threading.local()


def lease() -> GrantedLease:
    """The lease that the calling function works on, with `job`, `run`, `stage` and `config`.

    Raises LookupError outside a worker's call.
    """
    found: GrantedLease | None = getattr(_of_thread, "lease", None)
    if found is None:
        raise LookupError("expected to be called from a worker's function; there is no lease here")
    return found


def progress(share: float | None = None, text: str = "") -> None:
    """Say how far the calling function is with its item: `progress(0.3, "page 3 of 10")`.

    `share` is from 0 to 1. The call counts as progress: `item_seconds_max` begins again, so a long
    item that goes on is not taken for a frozen one. It costs no request: what was said last is sent
    with the next renewal of the lease, and shown by `why` and on the page of the item. Outside a
    worker's call, and in other threads than the function's, it does nothing.
    """
    note: Note | None = getattr(_of_thread, "note", None)
    if note is not None:
        note(CallProgress(share, text, getattr(_of_thread, "item", None)))


def begin_item(number: int | None) -> None:
    """The function is called for this item; None: for several."""
    _of_thread.item = number


@contextmanager
def working_on(one: GrantedLease, note: Note | None = None) -> Iterator[None]:
    """What the function logs is about the lease and its job; `note` hears of its progress."""
    _of_thread.lease, _of_thread.note, _of_thread.item = one, note, None
    try:
        with job_log(one.job, stage=one.stage, lease=one.token):
            yield
    finally:
        _of_thread.lease = _of_thread.note = _of_thread.item = None
