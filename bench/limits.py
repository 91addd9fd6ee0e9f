"""Why a bound is missed: the limit that was measured, and what was tried. The page shows it.

By a part of the figure's name, of which the first one counts. A missed figure without one fails a
test.
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    decision: str  # with the measurements
    why: str


GROWTH = "0030-what-growth-has-shown"
LIMITS = {
    "memory of the client, 10,000,000 items": Limit(
        GROWTH,
        "64 MiB and 93. The measurement keeps what each of its 156,000 claims took, 180 bytes "
        "each; 68 MiB of a million items",
    ),
    ", 10,000,000 items / 1,000": Limit(
        GROWTH,
        "measured once, beside other work. `SELECT 1` took half of what it took in the runs of "
        "1,000 items. In milliseconds, of 1,000 items and of ten million: progress 0.5 and 0.45, a "
        "sweep 34 and 47, the first page of failed items 3.1 and 4.7, the last 2.9 and 2.4, a "
        "cancel 5 and 12, a delete 9 and 9",
    ),
    "sqlite, 1,000,000 items: bytes on disk": Limit(
        GROWTH, "two rows, a primary key for each, and the index by key, as on PostgreSQL"
    ),
    "sqlite: CPU of an item, report": Limit(
        GROWTH, "63 to 84 µs in the rounds of 1,000 items, 89 of a million"
    ),
    "sqlite: CPU of": Limit(
        GROWTH,
        "in milliseconds, of 1,000 items and of a million: a cancel 5 and 14, a delete 4 and 9, a "
        "sweep 18 and 42, the first page of failed items 0.7 and 1.3",
    ),
    "bytes on disk per settled item": Limit(
        GROWTH,
        "the bare rows, by COPY and INSERT into tables of the same shape, take as much: an outcome "
        "149 bytes and its primary key 32, an item 92 and its primary key 32, the index by key 71. "
        "Another order of the columns takes as many",
    ),
    "CPU of sweep": Limit(
        GROWTH,
        "the median of seven sweeps in each size, 30 to 52 ms, in no order of the sizes",
    ),
    "CPU of first page of failed items": Limit(
        GROWTH,
        "4.1 ms of 1,000 items, 6.0 of 100,000 and 5.7 of a million; 1.22 in the run before",
    ),
    "items: progress, CPU / SELECT 1": Limit(
        GROWTH,
        "`SELECT 1` asks no server on SQLite and takes 14 to 31 µs; progress takes 0.16 to 0.3 ms, "
        "for any size",
    ),
    "raw COPY of the same dicts": Limit(
        "0026-items-are-added-before-they-are-compared",
        "most of it is Python's check and encoding of each item; 2.5 in the run before",
    ),
    "worst of 10 / one report": Limit(
        "0025-what-a-renewal-and-a-cancel-cost",
        "as beside `SELECT 1`: the worst of 10 on two cores that 32 handlers want, too",
    ),
    "a cancel under": Limit(
        "0025-what-a-renewal-and-a-cancel-cost",
        "a cancel waits for claims and reports in flight, and each of its four statements for one "
        "of two cores: `SELECT 1` waits once. Other runs gave 17 and 25",
    ),
    "claims/s / the usual queue's": Limit(
        "0023-a-claim-is-one-call",
        "the usual queue marks rows in one statement, and its claims wait for each other; with 8 "
        "handlers joblot reached 0.67. The limit is the row of the lease: its insert and commit "
        "alone take 0.2 ms of processor time, where a claim may take 0.35",
    ),
    "2 ms commits, 32 handlers, 16 a batch": Limit(
        "0024-a-report-is-one-call",
        "32 handlers and their database share two cores. Six times the rate of A2 leaves 1.1 ms of "
        "processor time for a report, seven times that of A1 1.0, ten times that of A2 0.7. It "
        "takes 1.1, in threads 0.9, of which the bare insert of its rows takes 0.5",
    ),
    "lag from the last commit": Limit(
        "0024-a-report-is-one-call",
        "after the last result is committed, its handler asks whether the job may be due and ends "
        "it, in a transaction of its own, while 31 others want the same two cores",
    ),
    "no-ops end to end: joblot over HTTP": Limit(
        "0027-what-a-request-costs",
        "graphile-worker calls its database directly, for 0.135 ms of processor time per item; "
        "over HTTP joblot takes 0.17 ms in batches and 0.32 one by one, for client, server and "
        "database",
    ),
    "no-ops end to end": Limit(
        "0031-what-a-report-costs-in-python",
        "graphile-worker deletes an item that is done, for 0.135 ms of processor time; joblot "
        "keeps an outcome of each and counts it, for 0.144 ms one by one and 0.074 in batches of "
        "256",
    ),
    "one hot job / 32 jobs": Limit(
        "0024-a-report-is-one-call", "a slice of 2 s on two cores; see the range of the rounds"
    ),
    " / bare insert of ": Limit(
        "0024-a-report-is-one-call",
        "as for its processor time: settle, count, commit, and the check after it",
    ),
    "report over HTTP / no work": Limit(
        "0027-what-a-request-costs",
        "client, server and database share two cores: beside what a request costs, a report takes "
        "0.7 ms of processor time in PostgreSQL and 0.7 in the server, where the two together may "
        "take 0.6",
    ),
    "report with a hook": Limit(
        "0024-a-report-is-one-call",
        "beside what a plain report does, BEGIN takes 0.05 ms of the server, the items and the "
        "config for the hook 0.08, and the message with the count and COMMIT 0.08. BEGIN in the "
        "message of the settling takes as much in all, since that is planned each time",
    ),
    "report / bare insert": Limit(
        "0024-a-report-is-one-call",
        "of 256 results the server's part is that of the bare insert, the rest is Python, which "
        "makes, checks, encodes and hashes each; of 16, the server needs 0.2 ms beside the insert "
        "to lock and credit the lease, to count, and to check after the commit",
    ),
    "CPU of no work over HTTP": Limit(
        "0027-what-a-request-costs",
        "the statement for the token alone costs more than five echoes; without Django and "
        "django-ninja a fifth would be saved",
    ),
    "work to a waiting worker's lease": Limit(
        "0032-who-waits-is-notified",
        "once a second the server's own sweep takes 30 to 130 ms: the measurement before has left "
        "some 100,000 live leases; without them none of 300 claims took more than 20 ms",
    ),
    "renew": Limit(
        "0025-what-a-renewal-and-a-cancel-cost",
        "nearly all of it is the commit: a bare UPDATE of one column takes 2.3 to 4.5, as the disk "
        "and its load go",
    ),
}
