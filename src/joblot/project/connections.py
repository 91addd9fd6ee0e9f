"""The database connections of a project's functions, kept as Django keeps those of its views.

A function uses the project's models in the worker's own thread, for days. Django replaces a broken
or old connection between two requests; a worker has none, so it does the same between two leases,
and after a call that broke one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from django.db import close_old_connections, connections, reset_queries

from joblot.wire import ClaimedItem, Result
from joblot.worker.current import lease
from joblot.worker.function import Work
from joblot.worker.handlers import Handler


def with_usable_connections(handler: Handler) -> Handler:
    """The handler, whose calls find no connection that an earlier call or a restart has broken."""
    return replace(handler, work=_working(handler.work))


def _working(work: Work) -> Work:
    last = ""

    def working(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        nonlocal last
        if last != lease().token:
            last = lease().token
            reset_queries()  # those that DEBUG keeps
            close_old_connections()
        else:
            _close_broken()
        yield from work(items)

    return working


def _close_broken() -> None:
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
