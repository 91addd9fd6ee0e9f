"""Removal of jobs, and of the files of large outputs."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

GUARDS = (
    Guard(
        "A removal marks the very run of which it has closed the leases, and marks once.",
        "removal.py",
        "        if now and same and _mark(",
        "        if now and _mark(",
        pair("filling-delete-delete-postgres"),
    ),
    Guard(
        "A removal closes the leases before it marks: nothing is counted after the mark.",
        "removal.py",
        "        close_leases(job_id, seen.run)\n",
        "",
        pair("deleted-submit-look-sqlite"),
    ),
    Guard(
        "A removal looks before it marks: what was counted before it is told.",
        "removal.py",
        "        look(job_id)\n        now =",
        "        now =",
        "ledger/test_removal.py"
        "::test_what_was_counted_before_the_removal_is_told_and_what_comes_after_is_late",
    ),
    Guard(
        "A prune takes a job that is still due when it is marked, and no other.",
        "removal.py",
        "        now = _due(job_id, due)\n",
        "        now = _due(job_id, Q())\n        same = True\n        seen.run = now.run\n",
        "races/test_overtaken.py::TestAPruneThatWasOvertakenByARetry",
    ),
    Guard(
        "The leases of a job go before all that a report may write.",
        "removal.py",
        "_LAST = (_rows_of(Lease), *_BESIDES,",
        "_LAST = (*_BESIDES, _rows_of(Lease),",
        pair("deleted-amend-prune-sqlite"),
    ),
    Guard(
        "A line that is logged while its job goes is taken back.",
        "history.py",
        "        _take_back_if_removed(job_id, line)\n",
        "",
        pair("failed-prune-log-sqlite"),
    ),
    Guard(
        "A report refers only to a file that nobody is removing.",
        "sql/postgresql/hold_stored.sql",
        " AND state = {STORED}",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A report holds its file until it has committed what refers to it.",
        "sql/postgresql/hold_stored.sql",
        "\nFOR KEY SHARE",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A collection locks a file before it reads what refers to it.",
        "outputs.py",
        "due.select_for_update(skip_locked=True).values_list",
        "due.values_list",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A removal lets the sweep look at the files that it has referred to.",
        "removal.py",
        "        outputs.let_go(refs)\n",
        "",
        "ledger/test_outputs.py::test_the_file_goes_with_its_job",
    ),
    Guard(
        "A file is announced before it is stored: a crash leaves none that nobody knows of.",
        "outputs.py",
        "    _announce(name, digest)\n    saved = _save(name, content)\n",
        "    saved = _save(name, content)\n    _announce(name, digest)\n",
        "interleave/test_outputs.py::"
        "test_a_report_or_a_collection_that_dies_loses_no_file_and_leaves_none[sqlite]",
    ),
)
