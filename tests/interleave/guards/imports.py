"""Guards of results that another system has recorded."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard

KNOWN = "report/known.py"
TESTS = "ledger/report/test_known.py"

GUARDS = (
    Guard(
        "Ranges are marked as perhaps containing settled items.",
        KNOWN,
        "        ranges.update(returns=RELEASED)\n",
        "        ranges.exists()\n",
        f"{TESTS}::test_what_is_known_counts_once_and_is_not_worked_again[postgres]",
    ),
    Guard(
        "So is that of the next stage.",
        KNOWN,
        "returns=RELEASED) for first",
        "returns=0) for first",
        f"{TESTS}::test_what_is_known_of_the_next_stage_is_left_out_of_its_claims[postgres]",
    ),
    Guard(
        "A job that is over takes no known results.",
        KNOWN,
        "        if job.status not in FILLABLE or job.reopening is not None:\n",
        "        if False:\n",
        f"{TESTS}::test_a_job_that_is_over_takes_none[postgres]",
    ),
)
