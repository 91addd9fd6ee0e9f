"""One process that runs event handlers, or removes files. Its supervisor may end it at any moment.

What it has not committed is rolled back then, and the try that it has claimed becomes due again by
itself. It ends when its standard input does: its supervisor is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from joblot.config import limits
from joblot.delivery.message import Begun, Call, Ended, Message, as_line
from joblot.standalone import setup


def main() -> None:
    asked = _arguments()
    logging.basicConfig(level=logging.WARNING, format="joblot delivery: %(message)s")
    _end_with_supervisor()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor's to take
    os.set_inheritable(asked.says, False)
    with os.fdopen(asked.says, "w", buffering=1) as said:
        setup()
        _work(asked, said, stop)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="joblot.delivery")
    parser.add_argument("--says", type=int, required=True, help="the descriptor to write to")
    parser.add_argument("--once", action="store_true", help="end when nothing is due")
    parser.add_argument("--spare", action="store_true", help="end when there was nothing for long")
    parser.add_argument("--files", action="store_true", help="remove files; call no handler")
    return parser.parse_args()


def _work(asked: Any, said: IO[str], stop: threading.Event) -> None:
    from joblot.ledger.delivery import deliver, deliver_until  # noqa: PLC0415 (needs setup)
    from joblot.ledger.file_removal import remove_files, remove_files_until  # noqa: PLC0415

    watch = partial(_said, said)
    idle_seconds = limits().handler_idle_seconds
    if asked.once and asked.files:
        remove_files(watch)
    elif asked.once:
        deliver(watch)
    elif asked.files:
        remove_files_until(stop, watch, idle_seconds_max=idle_seconds)
    else:
        deliver_until(stop, watch, idle_seconds_max=idle_seconds if asked.spare else None)


@contextlib.contextmanager
def _said(said: IO[str], call: Call) -> Iterator[None]:
    """Around a call: say that it has begun, and how it has ended."""

    def say(message: Message) -> None:
        said.write(as_line(message))

    say(Begun(str(call), call.seconds_max, call.retry_seconds))
    try:
        yield
    except BaseException:
        say(Ended(returned=False))
        raise
    say(Ended(returned=True))


def _end_with_supervisor() -> None:
    """Also in the middle of a call: nobody is left to end it at its limit."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):  # of a buffered reader, Python waits at its exit
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="joblot-supervisor", daemon=True).start()
