"""Why a call failed, as text: of any exception, whatever it does when it is asked.

An exception is the item's failure, whichever class it is of: `asyncio.CancelledError` and a
KeyboardInterrupt that the function raises too. Only a signal that this process has received is not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NOT_SHOWN = "(its message cannot be shown)"
CHARS_MAX = 100_000  # of a message; what is kept of it is shorter


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was received while the function worked: no failure of its item."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Tell a SIGINT that is received from a KeyboardInterrupt that the function raises.

    Python's own handler raises the same for both. Any other handler stays as it is, and outside
    the main thread there is none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def kind_of(error: BaseException) -> str:
    """The name of its class."""
    try:
        return str.__str__(type(error).__name__)
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (a metaclass may do anything)
        return "Error"


def message_of(error: BaseException) -> str:
    """Its text, or NOT_SHOWN where none can be made."""
    try:
        return str.__str__(str(error))[:CHARS_MAX]
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (so may __str__)
        return NOT_SHOWN


def shown(error: BaseException) -> str:
    """Class and text on one line."""
    return f"{kind_of(error)}: {message_of(error)}"
