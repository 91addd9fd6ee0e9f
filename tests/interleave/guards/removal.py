"""Removal of jobs, and of the files of large outputs."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

GUARDS = (
    Guard(
        "A removal marks the very run of which it has closed the leases, and marks once.",
        "job/removal.py",
        "        if now and same and _mark(",
        "        if now and _mark(",
        pair("filling-delete-delete-postgres"),
    ),
    Guard(
        "A removal closes the leases before it marks: nothing is counted after the mark.",
        "job/removal.py",
        "        close_leases(job_id, seen.run)\n",
        "",
        pair("deleted-submit-reconcile-sqlite"),
    ),
    Guard(
        "A removal reconciles before it marks the job: what was counted before reaches the report.",
        "job/removal.py",
        "        reconcile(job_id)\n        now =",
        "        now =",
        "ledger/job/test_removal.py"
        "::test_what_was_counted_before_the_removal_is_told_and_what_comes_after_is_late",
    ),
    Guard(
        "A prune takes a job that is still due when it is marked, and no other.",
        "job/removal.py",
        "        now = _due(job_id, due)\n",
        "        now = _due(job_id, Q())\n        same = True\n        seen.run = now.run\n",
        "races/test_overtaken.py::TestAPruneThatWasOvertakenByARetry",
    ),
    Guard(
        "The leases of a job go before all that a report may write.",
        "job/removal.py",
        "_LAST = (_rows_of(Lease), *_BESIDES,",
        "_LAST = (*_BESIDES, _rows_of(Lease),",
        pair("deleted-amend-prune-sqlite"),
    ),
    Guard(
        "A line that is logged while its job goes is taken back.",
        "rows/log.py",
        "        _take_back_if_removed(job_id, line)\n",
        "",
        pair("failed-prune-log-sqlite"),
    ),
    Guard(
        "A report refers only to a file that nobody is removing.",
        "rows/hold_stored.postgresql.sql",
        " AND state = {STORED}",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A report holds its file until it has committed what refers to it.",
        "rows/hold_stored.postgresql.sql",
        "\nFOR KEY SHARE",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A collection locks a file before it reads what refers to it.",
        "rows/outputs.py",
        "due.select_for_update(skip_locked=True).values_list",
        "due.values_list",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A removal takes only files that are marked.",
        "maintain/file_removal.py",
        "filter(next_try_at__lte=clock.now())",
        "exclude(next_try_at__gt=clock.now())",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A try to remove a file is begun by one process, and not before its time.",
        "maintain/file_removal.py",
        "tries=row.tries + 1, started_at=clock.now(), next_try_at=clock.after(wait)",
        "tries=row.tries + 1, started_at=clock.now()",
        "ledger/maintain/test_file_removal.py::test_a_removal_that_died_is_gone_on_with",
    ),
    Guard(
        "A file of a result that was refused for good is given up at once.",
        "report/report.py",
        "            self._give_up(settled.unused)\n",
        "",
        "ledger/rows/test_outputs.py::test_the_file_of_a_result_that_the_hook_refuses_for_good_goes_at"
        "_once",
    ),
    Guard(
        "A storage that hangs leaves threads of a server for everything else.",
        "rows/outputs.py",
        "    with room():\n        try:\n            yield\n",
        "    if True:\n        try:\n            yield\n",
        "ledger/maintain/test_file_removal.py::test_a_storage_that_hangs_leaves_threads_for_what_needs_no_file",
    ),
    Guard(
        "A removal lets the sweep look at the files that it has referred to.",
        "job/removal.py",
        "        outputs.let_go(refs)\n",
        "",
        "ledger/rows/test_outputs.py::test_the_file_goes_with_its_job",
    ),
    Guard(
        "A file is announced before it is stored: a crash leaves none that nobody knows of.",
        "rows/outputs.py",
        "    _announce(name, digest)\n    saved = _save(name, content)\n",
        "    saved = _save(name, content)\n    _announce(name, digest)\n",
        "interleave/test_outputs.py::"
        "test_a_report_or_a_collection_that_dies_loses_no_file_and_leaves_none[sqlite]",
    ),
)
