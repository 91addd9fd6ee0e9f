"""The job that a failed submission leaves behind, named in its error.

It is left as it is. Its items may already have been claimed and counted, and with an idempotency
key another submission may be filling the same job: removing it would lose accepted work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error

from joblot.errors import JoblotError, Unavailable
from joblot.ledger.db.transactions import connection
from joblot.ledger.rows.job import read_job
from joblot.models import Job
from joblot.shown import counted
from joblot.states import FILLABLE

AGAIN_WITH_KEY = (
    "correct what was refused and submit again with the same idempotency key, which adds what is "
    "missing; or delete the job"
)
WITHOUT_KEY = (
    "delete it and submit again, or add the missing items to it and seal it; to submit again "
    "without deleting it makes another job"
)
ADD_AGAIN = "correct what was refused and send all of the items again; those it has are skipped"


@contextmanager
def naming(job_id: int, advice: str = "") -> Iterator[None]:
    """Name the job in any error, and how many items it has; with `advice` while it is open.

    A JoblotError gets both as attributes; any other error, from the caller's stream, gets a note.
    Inside a caller's transaction nothing is named, because the rollback removes the job.
    """
    try:
        yield
    except BaseException as error:
        if not connection().in_atomic_block:
            _name(error, job_id, advice)
        raise


def _name(error: BaseException, job_id: int, advice: str) -> None:
    if isinstance(error, JoblotError):
        error.job_id = job_id
    if isinstance(error, Unavailable):
        return  # it already says what is known, and the database may be down
    with suppress(JoblotError, Error):  # the job is gone, or unreachable: keep the first error
        job = read_job(job_id)
        note = _note(job, advice)
        if not isinstance(error, JoblotError):
            error.add_note(f"joblot: {note}")
            return
        error.total = job.total
        if note:
            error.args = (f"{error}; {note}", *error.args[1:])


def _note(job: Job, advice: str) -> str:
    if not advice or job.sealed or job.status not in FILLABLE:
        return ""
    return f"job {job.pk} stays open with {counted(job.total, 'item')}: {advice}"
