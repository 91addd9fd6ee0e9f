"""Submits a run's items in a separate thread, while workers already process them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from django.db import Error, connections

from joblot.cli import verbs
from joblot.cli.bad_entries import checked, failing, skipping
from joblot.cli.source import BadEntry, NewItem
from joblot.errors import JoblotError, Unavailable


@dataclass(frozen=True, slots=True)
class Submitted:
    """The submission has ended. After an error, or if it was stopped, the job stays open."""

    error: JoblotError | None


class _Stopped(Exception):
    """Asked to stop: added items stay, a resumed run adds the rest."""


class Items(Protocol):
    """Where the items of a run come from; `skip_bad`: what can't be an item is left out."""

    @property
    def skip_bad(self) -> bool: ...

    def entries(self) -> Iterator[NewItem | BadEntry]: ...


class Submission:
    """Streams items into an open job and seals it; calls `ended` at the end."""

    def __init__(self, job_id: int, source: Items, ended: Callable[[Submitted], None]) -> None:
        self._job_id = job_id
        self._source = source
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="joblot-submit", daemon=True)
        self.error: JoblotError | None = None
        self.given = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the current chunk, without waiting any longer for a slow source."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the current chunk, but not for a pipe that sends nothing."""
        self._thread.join(None if not self._stop.is_set() else 5.0)

    def _run(self) -> None:
        try:
            verbs.add_items(self._job_id, self._items(), seal=True)
        except _Stopped:
            pass
        except JoblotError as error:
            self.error = error
        except Error as error:  # a database error that no verb translates: the run must still end
            self.error = Unavailable(f"submitting failed: {str(error).partition(chr(10))[0]}")
        finally:
            connections.close_all()
        self._ended(Submitted(self.error))

    def _items(self) -> Iterator[NewItem]:
        keep = skipping if self._source.skip_bad else failing
        for item in keep(checked(self._source.entries(), verbs.checked_item)):
            if self._stop.is_set():
                raise _Stopped
            self.given += 1
            yield item
