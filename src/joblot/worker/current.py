"""The lease that this thread's function is working on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from joblot.log_context import job_log
from joblot.wire import GrantedLease

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


@contextmanager
def working_on(one: GrantedLease) -> Iterator[None]:
    """What the function logs is about the lease and its job."""
    _of_thread.lease = one
    try:
        with job_log(one.job, stage=one.stage, lease=one.token):
            yield
    finally:
        _of_thread.lease = None
