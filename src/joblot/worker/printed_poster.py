"""Sends what items print to the server, in the background, and drops it if the server is away.

It delays no item and no result. The number of waiting texts is bounded; the server drops what
exceeds the bound of the job's log.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict

from joblot.errors import Unavailable
from joblot.wire import GrantedLease
from joblot.worker.backoff import backoff_seconds
from joblot.worker.http import HttpClient

logger = logging.getLogger("joblot.worker")

WAITING_MAX = 1_000  # texts, each of a few thousand bytes
POSTED_MAX = 100  # texts of one request
AWAY_SECONDS_MAX = 60.0  # without the server, before texts are dropped

Text = tuple[str, int, str]  # the lease's token, the item, and what it has printed


class PrintedPoster:
    """A thread of it begins with the first text: a function that prints nothing costs nothing."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._texts: queue.Queue[Text | None] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._dropped = 0

    def put(self, lease: GrantedLease, item: int, text: str) -> None:
        """Called by the threads that compute."""
        if self._thread is None:
            self._start()
        try:
            self._texts.put_nowait((lease.token, item, text))
        except queue.Full:
            self._dropped += 1

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:  # another thread may have started it
                thread = threading.Thread(target=self._run, name="joblot-printed", daemon=True)
                thread.start()
                self._thread = thread

    def end(self, seconds_max: float) -> None:
        """Post what waits, for at most this long."""
        if self._thread is not None:
            try:
                self._texts.put(None, timeout=seconds_max)
            except queue.Full:
                self._dropped += 1
            self._thread.join(seconds_max)
        if self._dropped:
            logger.warning("what %d items have printed was not kept", self._dropped)

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._batch()
            by_lease: dict[str, list[tuple[int, str]]] = defaultdict(list)
            for token, item, text in batch:
                by_lease[token].append((item, text))
            for token, texts in by_lease.items():
                self._post(token, texts)

    def _batch(self) -> tuple[list[Text], bool]:
        """Wait for a text, and take those that wait behind it; whether it was the last batch."""
        batch: list[Text] = []
        found = self._texts.get()
        while found is not None:
            batch.append(found)
            if len(batch) == POSTED_MAX or self._texts.empty():
                return batch, False
            found = self._texts.get()
        return batch, True

    def _post(self, token: str, texts: list[tuple[int, str]]) -> None:
        try:
            self._try_to_post(token, texts)
        except Exception as error:  # noqa: BLE001 (nothing may end the thread)
            self._dropped += len(texts)
            logger.info("what %d items have printed was not kept: %s", len(texts), error)

    def _try_to_post(self, token: str, texts: list[tuple[int, str]]) -> None:
        gives_up_at, tries = time.monotonic() + AWAY_SECONDS_MAX, 0
        while True:
            try:
                self._client.keep_printed(token, texts)
                return
            except Unavailable:
                if time.monotonic() > gives_up_at:
                    raise
            time.sleep(backoff_seconds(tries))
            tries += 1
