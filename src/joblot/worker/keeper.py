"""Writing results to the worker's disk before they are posted, by a thread of its own.

It writes all that wait at once, so quick results share a write without a timer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from joblot.worker.backlog import Backlog, Kept
from joblot.worker.spool import Spool

logger = logging.getLogger("joblot.worker")


def keep_all(backlog: Backlog, spool: Spool) -> None:
    """Keep the results of the backlog in the spool as they come, until it has ended."""
    while (results := backlog.unkept()) is not None:
        _keep(spool, results)
        backlog.kept(results)


def _keep(spool: Spool, results: Sequence[Kept]) -> None:
    try:
        place = spool.keep([one.record for one in results])
    except OSError as error:
        logger.error(  # noqa: TRY400 (the disk's error says it all)
            "%d results can't be written to %s (%s): they are in memory only until joblot has them",
            len(results),
            spool.home,
            error.strerror or error,
        )
        return
    for one in results:
        one.spool, one.place = spool, place
