"""Keeps what the items of a worker over HTTP print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from joblot.worker.handlers import Handler
from joblot.worker.http import HttpClient
from joblot.worker.printed import ItemOutput, Keep, keeping
from joblot.worker.printed_poster import PrintedPoster

POST_SECONDS_MAX = 2.0  # for what is not posted yet at the end


@contextmanager
def keeping_output(
    client: HttpClient, handlers: Sequence[Handler], keep_output: str = Keep.FAILED.value
) -> Iterator[Sequence[Handler]]:
    """Handlers for a Worker that keep what their items print in the job's log, within the block.

    `keep_output` is "all", "failed" or "none". What is kept passes through `sys.stdout` and
    `sys.stderr`: from the thread that calls the function, and, while the process works on one item
    only, from other threads. Raises InvalidInput.
    """
    with posting_output(client, handlers, keep_output) as kept:
        yield kept


@contextmanager
def posting_output(
    client: HttpClient,
    handlers: Sequence[Handler],
    keep_output: str,
    output: ItemOutput | None = None,
) -> Iterator[Sequence[Handler]]:
    """The same; a supervisor reads `output`, if it is given."""
    poster = PrintedPoster(client)
    with keeping(handlers, Keep.of(keep_output), poster.put, output) as kept:
        try:
            yield kept
        finally:
            poster.end(POST_SECONDS_MAX)
