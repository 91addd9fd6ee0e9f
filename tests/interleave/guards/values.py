"""Guards for external values, and for memory that threads share."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard

GUARDS = (
    Guard(
        "An external value is nested no deeper than the limit, whatever its source.",
        "../canonical.py",
        """\
    if not is_plain and is_too_deep(value):
        raise InvalidResult(too_deep())
""",
        "",
        "api/test_hostile_values.py::test_a_result_harms_no_other[sqlite-1]",
    ),
    Guard(
        "The same limit applies to the older fleet's results, which are stored verbatim.",
        "../api/json_text.py",
        """\
    if is_too_deep(parsed):
        raise InvalidResult(too_deep())
""",
        "",
        "contrib/antenna/test_hostile_values.py::test_a_result[sqlite-more]",
    ),
    Guard(
        "The depth of a JSON text is checked before it is parsed.",
        "../api/json_text.py",
        "    text = within_bounds(text)\n",
        "",
        "test_bounded_json.py::test_only_the_value_that_is_too_deep_is_refused[100000]",
    ),
    Guard(
        "A JSON text contains no more values than the limit.",
        "../bounded_json.py",
        "        if values > most:\n",
        "        if False:\n",
        "test_bounded_json.py::test_more_values_than_may_be_are_refused_before_they_are_made[{}]",
    ),
    Guard(
        "A stored value that is nested too deeply is not parsed.",
        "../bounded_json.py",
        "    if is_text_too_deep(text):\n",
        "    if False:\n",
        "ledger/claim/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[sqlite-600]",
    ),
    Guard(
        "An unreadable item of a grant does not prevent reading the others.",
        "claim/by_function.py",
        "    if is_text_too_deep(text, around=2):\n",
        "    if False:\n",
        "ledger/claim/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[postgres-990]",
    ),
    Guard(
        "A claim fails items that are unreadable.",
        "claim/claim.py",
        "    lease = without_unreadable(lease)\n",
        "",
        "ledger/claim/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[sqlite-600]",
    ),
    Guard(
        "What the database refuses of one result is found by halving, and rejected.",
        "report/report.py",
        """\
            left = [one for one in left if one.number not in self.receipts]
""",
        """\
            raise
""",
        "ledger/report/test_refused_by_the_database.py"
        "::test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others[postgres]",
    ),
    Guard(
        "A sum that does not fit fails, also on SQLite, where + would become inexact.",
        "rows/metric_add.sqlite.sql",
        "(SELECT sum(v) FROM (SELECT joblot_metric.value AS v UNION ALL SELECT excluded.value))",
        "joblot_metric.value + excluded.value",
        "ledger/report/test_refused_by_the_database.py"
        "::test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others[sqlite]",
    ),
    Guard(
        "The age of a candidates snapshot counts from before it was read.",
        "claim/candidates.py",
        "        snapshot = Snapshot.of(_waiting(wanted), age, generation, read_at)\n",
        "        snapshot = Snapshot.of(_waiting(wanted), age, claimable.generation(), read_at)\n",
        "ledger/test_shared_memory.py::test_what_was_forgotten_while_it_was_read_is_read_again",
    ),
    Guard(
        "An earlier candidates snapshot never replaces a later one.",
        "claim/candidates.py",
        "            if snapshot.read_at > self._snapshot.read_at:\n",
        "            if True:\n",
        "ledger/test_shared_memory.py::test_a_slow_reader_does_not_put_an_older_state_over_a_newer",
    ),
)
