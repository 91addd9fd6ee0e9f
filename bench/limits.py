"""Why a bound is missed: the limit that was measured, and what was tried. The page shows it.

By the beginning of the figure's name. A missed figure that has no reason here fails a test.
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    decision: str  # with the measurements
    why: str


BUSY = "measured while other work kept the cores busy; the stable figure is the page's CPU time"

LIMITS = {
    "a cancel under": Limit(
        "0025-what-a-renewal-and-a-cancel-cost",
        "a cancel waits for claims and reports in flight, and each of its statements for one of "
        "two cores; 17 statements became 10",
    ),
    "claims/s / the usual queue's": Limit(
        "0023-a-claim-is-one-call",
        "this run is older than the claim in one call, with which 8 handlers reached 0.67, and 1.8 "
        "with an old snapshot. The limit is the row of the lease: its insert and commit alone take "
        "0.2, where a claim may take 0.35",
    ),
    "joblot / bare insert": Limit(
        "0024-a-report-is-one-call",
        "this run is older than the report in one call; see the report beside the bare insert",
    ),
    "joblot / counter on the job's row": Limit(
        "0024-a-report-is-one-call",
        "on two cores 32 handlers and their database wait for a core, not for commits",
    ),
    "report / bare insert": Limit(
        "0024-a-report-is-one-call",
        "a report reads the lease and the items, counts, and checks after the commit. The server "
        "takes 2.7 bare inserts to settle alone. Of 256 results, most is hashing and encoding",
    ),
    "CPU of no work over HTTP": Limit(
        "0027-what-a-request-costs",
        "the statement for the token alone costs more than five echoes; without Django and "
        "django-ninja a fifth would be saved",
    ),
    "renew": Limit(
        "0025-what-a-renewal-and-a-cancel-cost",
        "nearly all of it is the commit: a bare UPDATE of one column takes 4.2 to 4.5",
    ),
    "postgres, 100,000 jobs: the same, p99": Limit("0017-the-pages", BUSY),
    "sqlite, 100,000 jobs: the same, p99": Limit("0017-the-pages", BUSY),
}
