"""One process that runs event handlers, or removes files. Its supervisor may kill it at any moment.

Uncommitted work is then rolled back, and the try that it has claimed becomes due again. The first
order says how to deliver, a later one to stop; when the orders end, its supervisor is gone, and it
ends at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from joblot.config import limits
from joblot.delivery.message import Begun, Call, Ended, as_json
from joblot.log_format import log_to_stderr
from joblot.standalone import setup
from joblot.worker.supervised import Supervised


def main() -> None:
    supervised = Supervised.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor handles it
    if (order := supervised.order()) is None:
        return
    log_to_stderr("joblot delivery")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(
        target=_follow, args=(supervised, stop), name="joblot-orders", daemon=True
    ).start()
    setup()
    _work(order, supervised, stop)


def _follow(supervised: Supervised, stop: threading.Event) -> None:
    """Stop when ordered to; end at once, even in a call, if there is no supervisor to limit it."""
    while supervised.order() is not None:
        stop.set()
    os.killpg(0, signal.SIGKILL)


def _work(order: dict[str, Any], supervised: Supervised, stop: threading.Event) -> None:
    from joblot.ledger.maintain.delivery import deliver, deliver_until  # noqa: PLC0415 (needs setup)
    from joblot.ledger.maintain.file_removal import remove_files, remove_files_until  # noqa: PLC0415

    watch = partial(_answered, supervised)
    idle_seconds = limits().handler_idle_seconds
    if order["once"] and order["files"]:
        remove_files(watch)
    elif order["once"]:
        deliver(watch)
    elif order["files"]:
        remove_files_until(stop, watch, idle_seconds_max=idle_seconds)
    else:
        deliver_until(stop, watch, idle_seconds_max=idle_seconds if order["spare"] else None)


@contextlib.contextmanager
def _answered(supervised: Supervised, call: Call) -> Iterator[None]:
    """Report that a call has begun, and how it has ended."""
    supervised.answer(**as_json(Begun(str(call), call.seconds_max, call.retry_seconds)))
    try:
        yield
    except BaseException:
        supervised.answer(**as_json(Ended(returned=False)))
        raise
    supervised.answer(**as_json(Ended(returned=True)))
