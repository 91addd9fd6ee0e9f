"""Guards of the procedure that cancels a job."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

CANCEL = "job/cancel_1.function.postgresql.sql"
OVERTAKEN = "races/test_overtaken.py::TestACancelThatWasFinishedByAnother"

GUARDS = (
    Guard(
        "A cancel deletes the ranges, and so waits for concurrent claims.",
        CANCEL,
        "WHERE r.job_id = joblot_cancel_1.job AND EXISTS (",
        "WHERE false AND EXISTS (",
        pair("running-cancel-claim-postgres"),
    ),
    Guard(
        "A cancel commits the status before it deletes the ranges: a later claim reads it.",
        CANCEL,
        "    FROM changed c;\n    -- step: commit\n    COMMIT;\n",
        "    FROM changed c;\n",
        "races/test_claim.py::TestClaimAndCancel"
        "::test_nothing_is_granted_while_the_cancel_has_yet_to_delete_the_ranges",
    ),
    Guard(
        "A cancel changes only a job that has not ended.",
        CANCEL,
        " AND j.status IN ({CANCELABLE}) AND j.deleted_at IS NULL\n",
        "\n",
        "ledger/job/test_lifecycle.py::test_each_verb_in_each_status",
    ),
    Guard(
        "A cancel deletes the ranges of its own run only.",
        CANCEL,
        " AND j.run = run_seen AND j.status = 'CANCELING'\n        );",
        "\n        );",
        f"{OVERTAKEN}::test_leaves_the_ranges_of_the_next_run",
    ),
    Guard(
        "A cancel closes the leases of its own run only.",
        CANCEL,
        "AND l.run <= run_seen AND l.state IN ({CAN_SETTLE})\n            ORDER BY",
        "AND l.state IN ({CAN_SETTLE})\n            ORDER BY",
        f"{OVERTAKEN}::test_leaves_the_leases_of_the_next_run",
    ),
    Guard(
        "A cancel waits for the leases that are locked.",
        CANCEL,
        "WHERE token = (\n            SELECT token FROM (",
        "WHERE false AND token = (\n            SELECT token FROM (",
        "races/test_report.py::TestReportAndCancel"
        "::test_a_report_that_waits_for_the_closing_is_late",
    ),
    Guard(
        "A cancel closes a lease that gave an item back, and waits for it if it is locked.",
        CANCEL,
        "l.state = {SPENT}\n                      AND NOT (l.gone = '[]')",
        "false",
        "races/test_cancel.py::TestOneThatGaveAnItemBack"
        "::test_is_waited_for_while_the_item_is_settled",
    ),
    Guard(
        "A cancel sets the deadline of its own run only.",
        CANCEL,
        " AND j.run = run_seen AND j.status = 'CANCELING'\n          AND (\n",
        "\n          AND (\n",
        f"{OVERTAKEN}::test_sets_no_deadline_for_the_next_run",
    ),
    Guard(
        "A second cancel never postpones the deadline.",
        CANCEL,
        "              OR j.cancel_closes_at\n                  > COALESCE(",
        "              OR j.cancel_closes_at\n                  < COALESCE(",
        "ledger/job/test_lifecycle.py::test_a_second_cancel_never_postpones_the_end[postgres]",
    ),
)
