"""Does a removal harm the work of others? A large job goes while another one is reported to.

    python bench/removal.py [--items 300000] [--timeout 500ms]

The large job's items and outcomes are written by SQL; it is deleted and removed by the real verbs,
in sweeps, under the statement timeout. Meanwhile reports of 16 items go to another job, and after
each sweep the script checks whether it keeps up, as /healthz does.
"""

from __future__ import annotations

import argparse
import threading
import time
from statistics import quantiles
from typing import Any

from figures import Figure, figure, write

from joblot import standalone
from joblot.testing.postgres import PostgresServer

BATCH = 16
CALM_SECONDS = 10.0

FILL = """
INSERT INTO joblot_item (job_id, number, key, payload)
    SELECT {job}, n, 'k' || n, jsonb_build_object('file', repeat('x', 200))
    FROM generate_series(0, {items} - 1) n;
INSERT INTO joblot_outcome (job_id, stage, number, run, state, output)
    SELECT {job}, 0, n, 1, 1, jsonb_build_object('label', repeat('y', 200))
    FROM generate_series(0, {items} - 1) n;
INSERT INTO joblot_tally (job_id, stage, slot, succeeded) VALUES ({job}, 0, 1, {items});
INSERT INTO joblot_lease (token, job_id, run, stage, state, size, open, ranges, gone, worker,
                          claimed_at, expires_at)
    SELECT gen_random_uuid(), {job}, 1, 0, 1, 16, 0, '[[0, 15, 0, 0, 0]]', '[]', '', now(), now()
    FROM generate_series(1, {items} / 16);
UPDATE joblot_job SET total = {items}, version = version + 1 WHERE id = {job};
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=300_000)
    parser.add_argument("--timeout", default="500ms", help="per statement")
    asked = parser.parse_args()
    with PostgresServer() as server:
        standalone.setup(server.create_database("bench"))
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            large = _large(cursor, asked.items)
            cursor.execute(f"ALTER DATABASE bench SET statement_timeout = '{asked.timeout}'")
            cursor.execute(f"SET statement_timeout = '{asked.timeout}'")
        figures, details = _measure(large, asked.items)
    write("removal", figures, details)


def _large(cursor: Any, items: int) -> int:
    from joblot.ledger.job.reconcile import reconcile
    from joblot.ledger.submit.submit import seal, submit

    job = submit("large", [], pipeline="large", seal=False)
    for statement in FILL.format(job=job.pk, items=items).split(";")[:-1]:
        cursor.execute(statement)
    cursor.execute("ANALYZE")
    seal(job.pk)
    assert reconcile(job.pk) == "SUCCESS"
    return int(job.pk)


def _measure(large: int, items: int) -> tuple[list[Figure], dict[str, Any]]:
    from joblot.ledger.job import removal
    from joblot.ledger.job.lifecycle import delete
    from joblot.ledger.maintain.sweep import sweep
    from joblot.ledger.read.pulse import beat, overdue
    from joblot.models import Job

    reporter = _Reporter()
    reporter.start()
    time.sleep(CALM_SECONDS)
    calm = reporter.take()
    began = time.monotonic()
    delete(large)
    deleted, sweeps = time.monotonic() - began, []
    while Job.objects.get(pk=large).total:
        round_began = time.monotonic()
        sweep()
        beat()
        sweeps.append(time.monotonic() - round_began)
        assert overdue() == [], overdue()
        time.sleep(max(0.0, 1.0 - sweeps[-1]))
    swept = time.monotonic() - began
    assert removal.finish(large)
    gone = time.monotonic() - began
    meanwhile = reporter.take()
    reporter.stop()
    assert not Job.objects.filter(pk=large).exists()
    figures = [
        figure("report p99 while it goes / before", [_p99(meanwhile) / _p99(calm)], "<= 3"),
        figure("longest sweep, seconds", sweeps, "<= 2"),
    ]
    measured = {
        "items": items,
        "delete answers after, s": deleted,
        "items gone after, s": swept,
        "all rows gone after, s": gone,
        "sweeps": len(sweeps),
        "report p99 before and meanwhile, ms": [_p99(calm) * 1_000, _p99(meanwhile) * 1_000],
        "report longest, before and meanwhile, ms": [max(calm) * 1_000, max(meanwhile) * 1_000],
    }
    return figures, {
        name: value if isinstance(value, list) else round(value, 2)
        for name, value in measured.items()
    }


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98]


class _Reporter(threading.Thread):
    """Claims and reports without a pause; keeps how long each report took."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stop_asked = threading.Event()
        self._lock = threading.Lock()
        self._took: list[float] = []

    def run(self) -> None:
        from joblot.ledger.claim.claim import claim
        from joblot.ledger.report.report import report
        from joblot.ledger.submit.submit import submit
        from joblot.wire import success

        while not self._stop_asked.is_set():
            submit("small", (f"k{n}" for n in range(1_000)), pipeline="small")
            while leases := claim("small", BATCH).leases:
                results = [success(item.id, "done") for item in leases[0].items]
                began = time.monotonic()
                report(leases[0].token, results)
                with self._lock:
                    self._took.append(time.monotonic() - began)
                time.sleep(0.005)

    def take(self) -> list[float]:
        with self._lock:
            taken, self._took = self._took, []
        return taken

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


if __name__ == "__main__":
    main()
