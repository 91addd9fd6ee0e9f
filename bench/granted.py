"""joblot's tables in an empty database, and leases to report on without claiming them first."""

from __future__ import annotations

from uuid import UUID, uuid4

BATCH = 16  # results of a report


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def granted(pipeline: str, size: int, leases: int) -> list[tuple[UUID, int]]:
    """Leases of a new job as (token, first item), written as claims would write them.

    The job is not at its end while their items are settled: others were never granted.
    """
    from django.db import connection

    from joblot import clock, submit
    from joblot.ledger.rows import pipelines_claimed
    from joblot.models import Lease

    job = submit("bench", map(str, range((leases + 1) * size)), pipeline=pipeline)
    mine = [(uuid4(), n * size) for n in range(leases)]
    Lease.ledger.bulk_create(
        (
            Lease(
                token=token,
                job_id=job.pk,
                run=1,
                stage=0,
                size=size,
                open=size,
                ranges=[[first, first + size - 1, 0, 0, 0]],
                claimed_at=clock.now(),
                expires_at=clock.after(3600),
            )
            for token, first in mine
        ),
        batch_size=1_000,
    )
    for token, _ in mine:
        pipelines_claimed.note(token, pipeline)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE joblot_lease, joblot_item, joblot_outcome, joblot_tally")
        cursor.execute("CHECKPOINT")  # keep the setup's writes out of the measurement
    return mine
