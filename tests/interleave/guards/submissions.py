"""Guards for idempotency keys, and for what a submission compares."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

GUARDS = (
    Guard(
        "A key repeated with other content is a conflict.",
        "rows/asked.py",
        "    if names:\n",
        "    if names and False:\n",
        pair("filling-submit_other-seal-sqlite"),
    ),
    Guard(
        "A submission seals a job only if it has named every item.",
        "submit/submit.py",
        "        _require_all(job, given)\n",
        "",
        pair("filling-submit-add_items-postgres"),
    ),
    Guard(
        "Each item of a submission counts once towards the job's total.",
        "submit/items.py",
        "        if not self._bits[place] & bit:\n",
        "        if True:\n",
        "ledger/submit/test_keys.py::TestTheSameSubmission"
        "::test_may_give_its_items_in_another_order_and_twice",
    ),
    Guard(
        "A claim's key returns its lease to the same claim only.",
        "claim/claim.py",
        "    require_same_claim(lease, holder.asked)\n",
        "",
        "ledger/submit/test_keys.py::TestAClaimsKey::test_of_another_claim_is_a_conflict",
    ),
    Guard(
        "An error inside COPY is the database's, and judged as any other.",
        "db/postgresql.py",
        "with connection.wrap_database_errors, context",
        "with context",
        "ledger/submit/test_filling.py::test_a_conflict_is_repeated",
    ),
    Guard(
        "Items of a job that takes no more are compared before they are added.",
        "submit/items.py",
        "if compare or not _takes_items(job) else",
        "if compare else",
        pair("filling-submit-submit-sqlite"),
    ),
    Guard(
        "A chunk with an item that the job has is compared and added again.",
        "submit/items.py",
        "            with suppress(IntegrityError):  # rolled back: an item exists\n",
        "            if True:\n",
        "ledger/test_round_trips.py::TestItemsThatAreAdded"
        "::test_are_looked_up_from_the_first_one_on_that_the_job_has[postgres]",
    ),
)
