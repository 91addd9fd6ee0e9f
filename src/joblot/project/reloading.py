"""Autoreload, by Django's own: a change of the code restarts the worker, which drains first.

As with `runserver`, a parent starts a child over and over, and the child watches the files.
Django's parent kills its child when it is ended itself; this one lets it finish its call.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from django.utils import autoreload

from joblot.worker.ending import FROZEN_EXIT

CHANGED_EXIT = 3  # Django's, of a child whose code has changed
LOOK_SECONDS = 1.0


def is_child() -> bool:
    """True in the process that does the work."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) == "true"


def work_and_watch(work: Callable[[], None], drain: Callable[[], None]) -> None:
    """Call `work` in a thread, and leave when the code changes, or on a signal, once it is drained.

    If it raises, the process waits for a change of the code.
    """
    working: list[threading.Thread] = []

    def noted() -> None:
        working.append(threading.current_thread())
        work()

    try:
        autoreload.run_with_reloader(noted)
    finally:
        drain()
        for thread in working:
            thread.join()


class Restarting:
    """The parent: starts the child again as long as it leaves because of a change."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = False

    def run(self) -> int:
        """Returns the exit code of the last child."""
        signal.signal(signal.SIGTERM, self._pass_on)
        signal.signal(signal.SIGINT, self._note)  # the terminal sends it to the child, too
        while True:
            code = self._run_once()
            if self._ending or code == 0:
                return code
            if code not in (CHANGED_EXIT, FROZEN_EXIT):
                sys.stderr.write("The worker could not start; waiting for a change of the code.\n")
                self._await_change()

    def _run_once(self) -> int:
        environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
        self._child = subprocess.Popen(
            autoreload.get_child_arguments(), env=environment, close_fds=False
        )
        if self._ending:  # the signal came before there was a child
            self._child.terminate()
        return self._child.wait()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        if self._child is not None:
            self._child.send_signal(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _await_change(self) -> None:
        """This process has imported the project as it was at its start, so it knows the files."""
        reloader = autoreload.StatReloader()
        before = dict(reloader.snapshot_files())
        while not self._ending and dict(reloader.snapshot_files()) == before:
            time.sleep(LOOK_SECONDS)
