"""Ending a transaction from another thread than the one that runs it."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
from typing import Any

CANCEL_SECONDS_MAX = 5.0
INTERRUPT_SECONDS = 1.0  # for a statement of SQLite's to end by itself
INTERRUPTED_TRIES_MAX = 10


def hang_up(link: Any) -> None:
    """PostgreSQL rolls back when its client is gone; a statement that is running is cancelled."""
    if link.closed:
        return
    with contextlib.suppress(Exception):  # the server does not answer; shutting the link remains
        link.cancel_safe(timeout=CANCEL_SECONDS_MAX)
    with socket.socket(fileno=os.dup(link.pgconn.socket)) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def roll_back(file: Any) -> None:
    """SQLite lets another thread do this, between two of the statements."""
    done = threading.Event()
    threading.Thread(target=_interrupt_until, args=(done, file), daemon=True).start()
    try:
        _execute(file, "PRAGMA query_only = ON")
        _execute(file, "ROLLBACK")
    finally:
        done.set()


def _interrupt_until(done: threading.Event, file: Any) -> None:
    """Interrupt whatever runs, again and again: the code may begin another statement."""
    while not done.wait(INTERRUPT_SECONDS):
        file.interrupt()


def _execute(file: Any, statement: str) -> None:
    """Again while an interrupt that was meant for another statement hits this one."""
    for _ in range(INTERRUPTED_TRIES_MAX):
        try:
            file.execute(statement)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
        else:
            return
