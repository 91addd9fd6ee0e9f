"""One job of a size, from its submission to its removal, each step measured.

    python bench/growth_steps.py URL ITEMS [--bare]    (started by growth.py, in a new database)

A process of its own, so that its peak of memory is that of this size. Every hundredth item fails. A
thousand more items than ITEMS stay open, so that there is something to cancel. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

import cost
from cost import Cost, spent

from joblot import standalone

BATCH = 64  # items of a lease, and results of a report
OPEN = 1_024  # items that are never settled
LIVE = 16  # leases that are live when the job is cancelled
FAILS = 100  # every such item
JOBS = 50  # on a page
PAGE = 10  # failed items; the smallest job has that many
FOREVER = 1e9  # seconds
WARM = 32  # leases of another job, so that the first claims do not pay for the connection

INSERT = """
INSERT INTO bare_outcome (job_id, stage, number, run, state, hash, output, lease_token, settled_at)
SELECT 1, 0, p.number, 1, 1, decode(p.hash, 'hex'), p.output, %(token)s::uuid, statement_timestamp()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS p (number int, hash text, output jsonb)
"""
BYTES = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname LIKE %s
"""


@dataclass
class Steps:
    items: int
    cpu_us: dict[str, float] = field(default_factory=dict)  # of client and server, an item
    server_us: dict[str, float] = field(default_factory=dict)
    wall_us: dict[str, float] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)  # of processor time, a call
    ratios: dict[str, float] = field(default_factory=dict)
    statements: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, float] = field(default_factory=dict)  # an item
    wal: dict[str, float] = field(default_factory=dict)  # bytes an item
    mib: dict[str, float] = field(default_factory=dict)

    def item(self, name: str, taken: Cost, items: int | None = None) -> None:
        each = taken.each(items or self.items)
        self.cpu_us[name] = 1e6 * each.cpu
        self.server_us[name] = 1e6 * each.server
        self.wall_us[name] = 1e6 * each.wall

    def call(self, name: str, calls: list[Cost]) -> None:
        self.ms[name] = 1e3 * statistics.median(one.cpu for one in calls)

    def note_memory(self) -> None:
        self.mib["client"] = cost.peak_mib()
        if (pid := cost.backend()) is not None:
            self.mib["backend"] = max(self.mib.get("backend", 0), cost.private_mib(pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("items", type=int)
    parser.add_argument("--bare", action="store_true", help="also the bare COPY and inserts")
    asked = parser.parse_args()
    standalone.setup(asked.url)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    json.dump(asdict(measure(asked.items, bare=asked.bare)), sys.stdout)


def measure(items: int, *, bare: bool) -> Steps:
    from joblot import submit

    steps = Steps(items)
    _warm_up()
    before, written = _bytes("joblot_%"), _wal()
    job: list[int] = []
    taken = spent(lambda: job.append(submit("j", _items(items + OPEN), pipeline="p").pk))
    steps.item("submit", taken, items + OPEN)
    steps.note_memory()
    claims = _drain(steps, items // 2, "first half")
    _read(steps, job[0])
    claims += _drain(steps, items - items // 2, "second half")
    steps.item("claim", _total(claims))
    tenth = max(1, len(claims) // 10)
    steps.ratios["claim, last tenth / first tenth"] = (
        _total(claims[-tenth:]).cpu / _total(claims[:tenth]).cpu
    )
    steps.wal["joblot"] = (_wal() - written) / items
    after = _bytes("joblot_%")
    steps.bytes |= {name: (after[name] - before.get(name, 0)) / items for name in after}
    _failed(steps, job[0])
    _cancel(steps, job[0])
    _remove(steps, job[0])
    steps.note_memory()
    if bare:
        _bare(steps)
    return steps


def _items(count: int) -> Iterator[dict[str, Any]]:
    return ({"key": f"image-{n}", "payload": {"path": f"images/{n}.png"}} for n in range(count))


def _warm_up() -> None:
    from joblot import claim, report, submit
    from joblot.wire import success

    for n in range(JOBS):
        submit(f"job {n}", ["a"], pipeline="unused")
    submit("warm up", _items(WARM * BATCH), pipeline="w")
    for _ in range(WARM):
        lease = claim("w", BATCH).leases[0]
        report(lease.token, [success(item.id, {"label": 1}) for item in lease.items])


def _drain(steps: Steps, items: int, part: str) -> list[Cost]:
    """Claim and report `items` of the job; what the claims took, one by one."""
    from joblot import claim, report
    from joblot.wire import failure, success

    claims, reports, left = [], Cost(), items
    while left > 0:
        leases: list[Any] = []
        take = partial(claim, "p", min(BATCH, left))
        claims.append(spent(lambda take=take, to=leases: to.extend(take().leases)))
        lease = leases[0]
        results = [
            success(item.id, {"label": 1}) if item.id % FAILS else failure(item.id, "Bad", "no")
            for item in lease.items
        ]
        left -= len(results)
        reports += spent(partial(report, lease.token, results))
    steps.item(f"report, {part}", reports, items)
    steps.note_memory()
    return claims


def _total(costs: list[Cost]) -> Cost:
    return sum(costs, Cost())


def _read(steps: Steps, job: int) -> None:
    """Readers and the sweep, while half of the items are settled and some leases are live."""
    from joblot import jobs, progress
    from joblot.maintenance import sweep

    rounds = [(spent(cost.select_1, 200), spent(lambda: progress(job), 20)) for _ in range(7)]
    steps.call("SELECT 1", [one for one, _ in rounds])
    steps.call("progress", [one for _, one in rounds])
    steps.ratios["progress / SELECT 1"] = statistics.median(b.cpu / a.cpu for a, b in rounds)
    steps.statements["progress"] = _statements(lambda: progress(job))
    assert len(jobs()) == JOBS
    steps.statements["page of 50 jobs"] = _statements(jobs)
    steps.call("sweep", [spent(sweep) for _ in range(7)])


def _statements(act: Callable[[], object]) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


def _failed(steps: Steps, job: int) -> None:
    from joblot import causes, items

    last = (steps.items // FAILS - PAGE) * FAILS - 1
    for name, after in (("first", -1), ("last", max(-1, last))):
        calls = [spent(lambda after=after: _page(items, job, after)) for _ in range(7)]
        steps.call(f"{name} page of failed items", calls)
    steps.call("causes of failures", [spent(lambda: causes(job)) for _ in range(5)])


def _page(items: Callable[..., Any], job: int, after: int) -> None:
    assert len(items(job, state="failed", after=after, limit=PAGE)) == PAGE


def _cancel(steps: Steps, job: int) -> None:
    """Once, since undoing it would reopen what has failed, too."""
    from joblot import cancel, claim, submit

    for each in (submit("another", _items(OPEN), pipeline="p").pk, job):
        for _ in range(LIVE):
            assert claim("p", OPEN // LIVE // 2, job=each).leases
        taken = spent(lambda each=each: cancel(each, grace_seconds=0))
    steps.call("cancel", [taken])


def _remove(steps: Steps, job: int) -> None:
    """The verb, then all that the sweeps do for this job, without the rest of a sweep."""
    from joblot import delete
    from joblot.ledger.job import removal

    def until_it_is_gone() -> None:
        removal.go_on_with(job, FOREVER)
        assert removal.finish(job)

    steps.call("delete", [spent(partial(delete, job))])
    steps.item("removal", spent(until_it_is_gone), steps.items + OPEN)


def _bare(steps: Steps) -> None:
    """The same rows, by COPY and by bare inserts of as many as a report has."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in ("item", "outcome"):
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE joblot_{table} INCLUDING ALL)")
        cursor.execute("CHECKPOINT")
    written = _wal()
    steps.item("raw COPY", spent(lambda: _copy(steps.items)))
    steps.item("bare insert", spent(lambda: _insert(steps.items)))
    steps.wal["COPY + bare insert"] = (_wal() - written) / steps.items
    for name, size in _bytes("bare_%").items():
        steps.bytes[name] = size / steps.items


def _copy(items: int) -> None:
    from django.db import connection

    statement = "COPY bare_item (job_id, number, key, payload) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for n, item in enumerate(_items(items)):
            copy.write_row((1, n, item["key"], json.dumps(item["payload"])))


def _insert(items: int) -> None:
    from django.db import connection

    numbers = iter(range(items))
    while batch := list(islice(numbers, BATCH)):
        rows = [{"number": n, "hash": "00" * 32, "output": {"label": 1}} for n in batch]
        with connection.cursor() as cursor:
            cursor.execute(INSERT, {"rows": json.dumps(rows), "token": uuid4()})


def _bytes(tables: str) -> dict[str, int]:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(BYTES, [tables])
            return dict(cursor.fetchall())
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return {"file": cursor.fetchone()[0]}


def _wal() -> int:
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn() - '0/0'")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
