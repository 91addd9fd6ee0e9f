"""Guards for answers of one instant, and for clocks that jump."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, reader

GUARDS = (
    Guard(
        "An answer from several statements is read in one transaction.",
        "read/why.py",
        "@one_snapshot()\n",
        "",
        reader("last-report-postgres"),
    ),
    Guard(
        "All that is read in one transaction is of one snapshot.",
        "db/postgresql.py",
        "REPEATABLE READ",
        "READ COMMITTED",
        reader("last-report-postgres"),
    ),
    Guard(
        "A page of items shows one instant.",
        "read/items.py",
        "@repeated\n@one_snapshot()\ndef items(",
        "@repeated\ndef items(",
        reader("last-report-sqlite"),
    ),
    Guard(
        "An item that a lease holds is in flight only until it is settled in the lease's stage.",
        "read/picture.py",
        "islands(numbers - settled_among(self.seen.job_id, stage, numbers))",
        "islands(numbers)",
        "ledger/read/test_picture.py::test_without_a_stage_an_item_has_its_final_state",
    ),
    Guard(
        "A picture takes nothing over from a picture of an earlier run.",
        "read/picture.py",
        "(known.run, known.reopened) == (seen.run, reopened)",
        "known.reopened == reopened",
        "ledger/read/test_picture.py::TestAnEarlierPicture::test_of_a_run_before",
    ),
    Guard(
        "Nor from one that was built before items of the run were reopened.",
        "read/picture.py",
        "(known.run, known.reopened) == (seen.run, reopened)",
        "known.run == seen.run",
        "ledger/read/test_picture.py::TestAnEarlierPicture::"
        "test_of_items_that_were_retried_within_the_run",
    ),
    Guard(
        "A read transaction takes no write lock on SQLite.",
        "db/sqlite.py",
        '"DEFERRED"',
        '"IMMEDIATE"',
        "ledger/db/test_snapshot.py::test_a_reader_does_not_wait_for_a_writer",
    ),
    Guard(
        "An item waits no longer than its policy says, even if the clock was ahead.",
        "maintain/waits.py",
        "    each(Step.WAITS, _jobs(_late_ranges()), _shorten_ranges)\n",
        "",
        "ledger/maintain/test_waits.py::"
        "test_an_item_that_failed_while_the_clock_was_ahead_is_tried_in_time",
    ),
    Guard(
        "A lease granted while the clock was ahead ends in time.",
        "maintain/waits.py",
        "live.filter(claimed_at__gt=_after(0)) | live",
        "live",
        "ledger/maintain/test_waits.py::"
        "test_whatever_happens_while_the_clock_is_ahead_the_job_ends_in_time",
    ),
)
