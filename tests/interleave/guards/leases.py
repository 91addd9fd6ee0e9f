"""Guards for renewing leases, and for closing them: what a cancel leaves, and what comes later."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

REVOCATION = "ledger/maintain/test_revocation.py"
MEANWHILE = "test_a_lease_that_was_granted_meanwhile_is_of_no_use_and_released_by_the_sweep"
CANCEL = "races/test_cancel.py"
GAVE_BACK = "TestOneThatGaveAnItemBack"
AMENDMENT = "TestAnAmendmentThroughOneThatIsNotClosed"

GUARDS = (
    Guard(
        "A lease of a revoked worker is not renewed.",
        "rows/renew.postgresql.sql",
        "            AND w.revoked_at IS NOT NULL LIMIT 1\n",
        "            AND false\n",
        f"{REVOCATION}::{MEANWHILE}[postgres]",
    ),
    Guard(
        "Nor on SQLite.",
        "rows/renew.sqlite.sql",
        " AND w.revoked_at IS NOT NULL\n",
        " AND false\n",
        f"{REVOCATION}::{MEANWHILE}[sqlite]",
    ),
    Guard(
        "An ended lease is not renewed.",
        "rows/renew.postgresql.sql",
        " AND l.state IN ({HOLDING})\n",
        "\n",
        "ledger/test_lease.py::test_an_ended_lease_is_not_renewed[postgres-expire]",
    ),
    Guard(
        "Nor on SQLite.",
        "rows/renew.sqlite.sql",
        " AND l.state IN ({HOLDING})\n",
        "\n",
        "ledger/test_lease.py::test_an_ended_lease_is_not_renewed[sqlite-expire]",
    ),
    Guard(
        "Renewing several leases waits for no lock on them.",
        "rows/renew_many.postgresql.sql",
        "    FOR UPDATE OF l SKIP LOCKED\n",
        "    FOR UPDATE OF l\n",
        "races/test_locks.py::TestSeveralLeases::test_renewing_them_waits_for_no_report",
    ),
    Guard(
        "Renewing several leases shortens no deadline.",
        "rows/renew_many.postgresql.sql",
        "      AND l.expires_at < {now} + make_interval(secs => %(seconds)s::float8)\n",
        "",
        "ledger/test_lease.py::test_renewing_several_shortens_none[postgres]",
    ),
    Guard(
        "Renewing several leases locks none that has ended.",
        "rows/renew_many.postgresql.sql",
        " AND l.state = {LIVE}\n",
        "\n",
        "ledger/test_lease.py::test_of_several_those_that_have_ended_are_not_renewed[postgres]",
    ),
    Guard(
        "A job is revoked only when all of its leases are closed.",
        "rows/due.sql",
        "l.state IN ({CAN_SETTLE})",
        "false",
        "ledger/job/test_lifecycle.py::test_a_cancel_with_grace_lets_leases_in_flight_report[sqlite]",
    ),
    Guard(
        "A cancel also closes expired leases.",
        "job/close_leases.sqlite.sql",
        "{CAN_SETTLE}",
        "{LIVE}",
        pair("last-cancel-amend-sqlite"),
    ),
    Guard(
        "A retry closes the leases of its own run only.",
        "job/close_leases.postgresql.sql",
        "run <= %(run)s AND state IN",
        "state IN",
        "races/test_overtaken.py::TestARetryThatWasFinishedByAnother"
        "::test_leaves_the_leases_of_its_run",
    ),
    Guard(
        "A retry waits for the leases that are locked.",
        "job/close.py",
        "not dialect_of(connection()).locks_rows or",
        "True or",
        f"{CANCEL}::TestARetryOfACanceledJob::test_closes_them_before_it_reopens_an_item",
    ),
    Guard(
        "A cancel closes a lease that gave an item back.",
        "job/close_leases.sqlite.sql",
        "AND NOT (gone = '[]') -- if unsettled\n",
        "AND false -- if unsettled\n",
        f"{CANCEL}::{GAVE_BACK}::test_is_closed_so_that_the_item_is_not_settled_afterwards[sqlite]",
    ),
    Guard(
        "A job is revoked only when such a lease is closed.",
        "rows/due.sql",
        "l.state = {SPENT} AND NOT (l.gone = '[]')",
        "false",
        f"{CANCEL}::{GAVE_BACK}::test_keeps_the_job_from_being_revoked_until_it_is_closed",
    ),
    Guard(
        "An amendment takes the job's row.",
        "report/settlement.py",
        "            self.held = self.held.in_its_run()\n",
        "",
        f"{CANCEL}::{AMENDMENT}::test_in_flight_is_waited_for_by_the_cancel",
    ),
    Guard(
        "An amendment reads the job's status and run when it has the row.",
        "report/held.py",
        "        held = replace(self, job=jobs.get(pk=self.job_id))\n",
        "        held = replace(self)\n        jobs.get(pk=self.job_id)\n",
        f"{CANCEL}::{AMENDMENT}::test_that_a_retry_has_overtaken_is_late",
    ),
    Guard(
        "A cancel that has read the counts reads them again after an amendment.",
        "report/held.py",
        "            advance(held.job_id, held.job.version)\n",
        "            pass\n",
        f"{CANCEL}::{AMENDMENT}::test_while_the_cancel_has_read_the_counts_is_counted_by_it",
    ),
    Guard(
        "A spent lease is not renewed when its run is over.",
        "rows/renew.postgresql.sql",
        " AND j.run = l.run AND j.status <> 'REVOKED'",
        "",
        f"{CANCEL}::TestTheLeasesThatStayAsTheyAre::test_are_of_no_further_use[postgres]",
    ),
    Guard(
        "Nor on SQLite.",
        "rows/renew.sqlite.sql",
        " AND j.run = l.run AND j.status <> 'REVOKED'",
        "",
        f"{CANCEL}::TestTheLeasesThatStayAsTheyAre::test_are_of_no_further_use[sqlite]",
    ),
    Guard(
        "A retry also closes the leases that the cancel has left.",
        "job/retry.py",
        "    close_leases(job_id, job.run - 1)\n",
        "    close_leases(job_id, job.run - 1, unsettled=True)\n",
        f"{CANCEL}::TestARetryOfACanceledJob::test_closes_them_before_it_reopens_an_item",
    ),
    Guard(
        "A retry closes the leases of the previous run before it reopens items.",
        "job/retry.py",
        "    close_leases(job_id, job.run - 1)\n",
        "",
        "ledger/job/test_reopen.py"
        "::test_a_success_through_the_earlier_run_does_not_settle_what_is_being_reopened",
    ),
)
