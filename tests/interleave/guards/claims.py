"""Guards of claims."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

FUNCTION = "claim/claim_1.function.postgresql.sql"
REVOKED = (
    "ledger/maintain/test_revocation.py"
    "::test_its_next_claim_is_refused_whether_or_not_there_is_work"
)

GUARDS = (
    Guard(
        "Nothing is granted to a revoked worker.",
        FUNCTION,
        "              AND w.revoked_at IS NOT NULL;\n",
        "              AND false;\n",
        f"{REVOKED}[postgres-7]",
    ),
    Guard(
        "Nor on SQLite.",
        "claim/grant_if_claimable.sqlite.sql",
        "            AND w.revoked_at IS NOT NULL\n",
        "            AND false\n",
        f"{REVOKED}[sqlite-7]",
    ),
    Guard(
        "A claim locks its range.",
        FUNCTION,
        "            LIMIT 1\n            FOR UPDATE SKIP LOCKED;\n",
        "            LIMIT 1;\n",
        pair("running-claim-claim-postgres"),
    ),
    Guard(
        "So does one that takes several.",
        FUNCTION,
        "            LIMIT left_over - (held.last - held.next + 1)\n"
        "            FOR UPDATE SKIP LOCKED\n",
        "            LIMIT left_over - (held.last - held.next + 1)\n",
        "races/test_claim.py::test_no_two_claims_take_the_same_small_range",
    ),
    Guard(
        "A claim reads the job's status after it has locked its range.",
        FUNCTION,
        "        IF (status IN ({CLAIMABLE})) IS NOT TRUE THEN\n",
        "        IF false THEN\n",
        "races/test_claim.py::TestClaimAndPause"
        "::test_a_claim_that_has_its_range_grants_nothing_after_the_pause",
    ),
    Guard(
        "A claim leaves out what was settled since it came back.",
        FUNCTION,
        "    IF came_back THEN\n",
        "    IF false THEN\n",
        "ledger/report/test_settlement.py"
        "::test_settled_items_are_in_no_range_that_is_served[postgres]",
    ),
    Guard(
        "A claim takes what it leases out of the queue.",
        FUNCTION,
        "        DELETE FROM joblot_range WHERE id = ANY (used_up);\n",
        "",
        pair("running-claim-claim-postgres"),
    ),
    Guard(
        "A lease whose items are all settled is not taken again.",
        "claim/take.py",
        "    if (lease.worker, lease.owner) == (worker, owner) and lease.open:\n",
        "    if (lease.worker, lease.owner) == (worker, owner):\n",
        "ledger/claim/test_take.py::test_one_whose_items_are_all_settled_is_not_taken_again",
    ),
    Guard(
        "A claim counts the items in flight behind the lock.",
        FUNCTION,
        "            IF in_flight >= job_items_max THEN\n",
        "            IF false THEN\n",
        "races/test_claim.py::TestClaimAndCaps::test_a_claim_that_was_granted_meanwhile_counts",
    ),
    Guard(
        "So it does with its owner's.",
        FUNCTION,
        "        IF in_flight >= owner_items_max THEN\n",
        "        IF false THEN\n",
        "races/test_claim.py::TestClaimAndCaps"
        "::test_an_owners_lease_that_was_granted_meanwhile_counts",
    ),
    Guard(
        "On SQLite a claim reads the job's status in the statement that grants.",
        "claim/grant_if_claimable.sqlite.sql",
        " AND j.status IN ({CLAIMABLE})",
        "",
        "races/test_explored.py::test_a_claim_grants_nothing_after_the_pause",
    ),
    Guard(
        "The cap of an owner holds among claims that share a statement.",
        "claim/claim_together_1.function.postgresql.sql",
        "            owners_items_max[n], keys[n], askeds[n]\n",
        "            NULL, keys[n], askeds[n]\n",
        "ledger/claim/test_together.py::test_so_does_the_cap_of_an_owner",
    ),
    Guard(
        "A claim locks the rate of its job, and sees what others have granted until then.",
        "claim/rate_1.function.postgresql.sql",
        "WHERE r.job_id = job FOR UPDATE;",
        "WHERE r.job_id = job;",
        "races/test_rate.py::test_a_claim_sees_what_was_granted_while_it_waited[postgres]",
    ),
    Guard(
        "A period is covered by the current slot and as many before it as it has.",
        "claim/window_1.function.postgresql.sql",
        "    oldest := current - ceil(60 *",
        "    oldest := current - ceil(58 *",
        "ledger/claim/test_rate.py::test_what_is_left_of_a_period_counts_from_its_beginning"
        "[postgres]",
    ),
    Guard(
        "A claim that knows nothing of a new limit grants nothing.",
        "claim/grant_if_claimable.sqlite.sql",
        " AND (NOT j.rated OR %(rated)s)",
        "",
        "ledger/claim/test_rate.py::test_a_limit_that_is_new_binds_a_claim_that_does_not_know_it"
        "[sqlite]",
    ),
    Guard(
        "A claim locks the limit of its pipeline, and sees what other jobs have been granted.",
        "claim/pipeline_limit_1.function.postgresql.sql",
        "WHERE p.pipeline = named FOR UPDATE;",
        "WHERE p.pipeline = named;",
        "races/test_rate.py::test_a_claim_sees_what_another_job_was_granted_while_it_waited"
        "[postgres-policy0]",
    ),
    Guard(
        "So does one of a job that has no limit itself, if the limit of its pipeline is new.",
        "claim/grant_if_claimable.sqlite.sql",
        "  AND (j.limited IS NULL OR j.limited = %(limited)s)\n",
        "",
        "ledger/claim/test_pipeline_limit.py"
        "::test_a_limit_that_is_new_binds_a_claim_that_does_not_know_it[sqlite]",
    ),
)
