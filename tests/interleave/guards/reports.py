"""Guards of reports that are settled without being judged, by functions."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

SETTLE = "report/settle_1.function.postgresql.sql"
REPORT = "report/report_1.function.postgresql.sql"
DUE = "report/may_be_due_1.function.postgresql.sql"
NEXT = "claim/report_and_claim_1.function.postgresql.sql"
AFTER = "claim/after_report.py"
NEXT_TESTS = "ledger/claim/test_after_report.py"
NEXT_RACES = "races/test_next_claim.py"
REVOCATION = "ledger/maintain/test_revocation.py"
CRASHES = "crashes/test_after_the_commit.py"

GUARDS = (
    Guard(
        "A report counts only through a lease that is not closed.",
        SETTLE,
        "(held.state, array_position(given_back, p.number) IS NOT NULL, p.state) IN ({COUNTED})",
        "true",
        pair("last-cancel-report-postgres"),
    ),
    Guard(
        "A report locks its lease before it settles.",
        SETTLE,
        "    WHERE l.token = joblot_settle_1.token\n    FOR UPDATE;\n",
        "    WHERE l.token = joblot_settle_1.token;\n",
        pair("last-report-expire-postgres"),
    ),
    Guard(
        "Nothing is settled at once for a revoked worker.",
        SETTLE,
        "          AND w.revoked_at IS NOT NULL;\n",
        "          AND false;\n",
        f"{REVOCATION}::test_its_next_report_is_refused_and_counts_nothing[postgres]",
    ),
    Guard(
        "Of two results of an item one is counted.",
        SETTLE,
        "    EXCEPTION WHEN unique_violation OR raise_exception THEN\n        RETURN;\n",
        "",
        pair("last-report-amend-postgres"),
    ),
    Guard(
        "A report of which one result does not count settles none at once.",
        SETTLE,
        "        IF settled < cardinality(numbers) THEN\n",
        "        IF false THEN\n",
        "ledger/report/test_report.py::test_an_item_of_another_lease_is_rejected[postgres]",
    ),
    Guard(
        "Whether a job may be due is asked after the commit of the report.",
        REPORT,
        "    -- step: commit\n    COMMIT;\n    BEGIN\n"
        "        due := joblot_may_be_due_1(job, done.failed);\n",
        "    due := joblot_may_be_due_1(job, done.failed);\n"
        "    -- step: commit\n    COMMIT;\n    BEGIN\n",
        "races/test_due.py::test_what_was_open_before_the_commit_may_be_settled_by_then",
    ),
    Guard(
        "The explorer sees that, too.",
        REPORT,
        "    -- step: commit\n    COMMIT;\n    BEGIN\n"
        "        due := joblot_may_be_due_1(job, done.failed);\n",
        "    due := joblot_may_be_due_1(job, done.failed);\n"
        "    -- step: commit\n    COMMIT;\n    BEGIN\n",
        "races/test_explored.py::test_a_report_and_the_claim_and_report_of_all_others",
    ),
    Guard(
        "No error after the commit takes a receipt away.",
        REPORT,
        "    EXCEPTION WHEN OTHERS OR query_canceled THEN\n        due := true;\n",
        "",
        "ledger/report/test_at_once.py::test_an_error_after_the_commit_takes_no_receipt_away",
    ),
    Guard(
        "A report whose connection is lost after the commit says how much is recorded.",
        "report/report.py",
        "            known += len(settlement.settled_through(token, set(left) - answered))\n",
        "            pass\n",
        f"{CRASHES}::test_a_report_whose_connection_ends_after_the_commit_says_that_all_is_recorded",
    ),
    Guard(
        "That is asked after the commit, too, if the report claims the next lease.",
        NEXT,
        "    -- step: commit\n    COMMIT;\n    IF settled THEN\n        BEGIN\n"
        "            due := joblot_may_be_due_1(job, done.failed);\n",
        "    due := joblot_may_be_due_1(job, done.failed);\n"
        "    -- step: commit\n    COMMIT;\n    IF settled THEN\n        BEGIN\n",
        f"{NEXT_RACES}::test_of_two_last_reports_one_finishes_the_job",
    ),
    Guard(
        "An error of the next claim takes no receipt away.",
        NEXT,
        "    EXCEPTION WHEN OTHERS THEN\n        outcome := 'failed';\n",
        "",
        f"{NEXT_TESTS}::TestInOneCall::test_an_error_of_the_claim_takes_no_receipt_away[called-postgres]",
    ),
    Guard(
        "A report that claims counts what it settles.",
        NEXT,
        "    IF settled THEN\n        counted",
        "    IF false THEN\n        counted",
        f"{NEXT_TESTS}::test_it_counts_and_grants[called-postgres]",
    ),
    Guard(
        "A report that claims waits for no range.",
        NEXT,
        "afters, wanted, '', lease",
        "afters, wanted, '30s', lease",
        f"{NEXT_RACES}::test_it_waits_for_no_range_while_its_report_is_not_committed",
    ),
    Guard(
        "A report that fails gives back the lease that it was granted.",
        AFTER,
        "        ahead.give_back()\n",
        "",
        f"{NEXT_RACES}::TestALostAnswer::test_of_a_report_that_fails_strands_no_lease",
    ),
    Guard(
        "Items that came back by expiry or release do not prove that a job is open.",
        DUE,
        " AND newest.returns = 0",
        "",
        "races/test_due.py::test_a_range_that_expired_may_hold_only_what_is_settled",
    ),
    Guard(
        "Nor do those that failed and wait for their next attempt.",
        DUE,
        "newest.failures = 0 AND ",
        "",
        "races/test_due.py::test_so_may_an_item_that_failed_and_waits_for_its_next_attempt",
    ),
    Guard(
        "An alert is not put off while items wait.",
        DUE,
        "    IF failed > 0 THEN\n",
        "    IF false THEN\n",
        "races/test_due.py::test_an_alert_is_due_while_items_wait",
    ),
    Guard(
        "Nor is a halt after a number of failures.",
        DUE,
        ", j.policy ->> 'halt_failed_items'",
        "",
        "races/test_halt.py::test_a_halt_is_due_while_items_wait[postgres-policy0]",
    ),
    Guard(
        "Nor is one at a share of failures.",
        DUE,
        ",\n            j.policy ->> 'halt_failed_share'",
        "",
        "races/test_halt.py::test_a_halt_is_due_while_items_wait[postgres-policy1]",
    ),
    Guard(
        "Who has seen the failures, and resumes, is not halted for them again.",
        "rows/due.py",
        "    if found.halt is not None:\n",
        "    if False:\n",
        "races/test_halt.py::test_a_resume_is_not_undone_by_a_process_that_saw_the_halt_before[sqlite]",
    ),
)
