"""The output that items have printed on their workers, as lines of the job's log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from joblot.errors import InvalidInput
from joblot.ledger.db.transactions import repeated
from joblot.ledger.rows.job import stages_of
from joblot.ledger.rows.lease import find
from joblot.ledger.rows.log import Line, append
from joblot.models import Job
from joblot.wire import PRINTED

TEXT_CHARS_MAX = 4_000  # the end of a longer one is kept


@repeated
def keep_printed(token: str | UUID, texts: Sequence[tuple[int, str]]) -> int:
    """Keep what these items of a lease have printed, as lines of the job's log.

    The lease may have ended: its worker may report on these items, too. Returns for how many the
    log had room. Raises InvalidInput for an item that is not of this lease; NotFound.
    """
    lease = find(token)
    for item, _ in texts:
        if not any(first <= item <= last for first, last, *_ in lease.ranges):
            raise InvalidInput(f"item {item} is not of this lease")
    stage = stages_of(lease.job_id)[lease.stage].name
    lines = [
        Line(
            text[-TEXT_CHARS_MAX:],
            stage=stage,
            number=item,
            source=PRINTED,
            worker=lease.worker,
            lease=str(lease.pk),
        )
        for item, text in texts
    ]
    try:
        return append(lease.job_id, lines)
    except Job.DoesNotExist:
        return 0
