"""Why a call failed, as text, for any exception, even one whose `__str__` raises.

An exception of any class fails the item, including `asyncio.CancelledError` and a KeyboardInterrupt
that the function raises. Only a signal that this process received does not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType

from joblot.tracebacks import traceback_of

NOT_SHOWN = "(its message cannot be shown)"
LEAVES_SHOWN_MAX = 10  # of an exception group
CHARS_MAX = 100_000  # of a message; less of it is stored


class Interrupted(KeyboardInterrupt):
    """Ctrl-C was received during a call; it does not fail the item."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Distinguish a received SIGINT from a KeyboardInterrupt that the function raises.

    Python's default handler raises the same for both. Any other handler stays in place; outside
    the main thread nothing changes.
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
    """The name of the error's class."""
    try:
        return str.__str__(type(error).__name__)
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (a metaclass may do anything)
        return "Error"


def message_of(error: BaseException) -> str:
    """The error's text, or NOT_SHOWN if it can't be obtained; of a group, also its leaves."""
    if issubclass(type(error), BaseExceptionGroup):
        return f"{_text_of(error)}: {_leaves(error)}"[:CHARS_MAX]
    return _text_of(error)


def _leaves(group: BaseException) -> str:
    found = list(islice(leaves_of(group), LEAVES_SHOWN_MAX + 1))
    more = "; …" if len(found) > LEAVES_SHOWN_MAX else ""
    return "; ".join(map(shown, found[:LEAVES_SHOWN_MAX])) + more


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that a group holds, in their order; the exception itself if it is no group."""
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if issubclass(type(found), BaseExceptionGroup):
            waiting.extend(reversed(BaseExceptionGroup.exceptions.__get__(found)))
        else:
            yield found


def _text_of(error: BaseException) -> str:
    try:
        return str.__str__(str(error))[:CHARS_MAX]
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (so may __str__)
        return NOT_SHOWN


def trace_of(error: BaseException) -> str:
    """The error's traceback, or "" if it can't be obtained."""
    try:
        return traceback_of(error)
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (as above)
        return ""


def shown(error: BaseException) -> str:
    """Class and text on one line."""
    return f"{kind_of(error)}: {message_of(error)}"
