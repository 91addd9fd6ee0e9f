"""Guards for the removal of jobs and of the files of large outputs."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

RACES = "races/test_removal.py"

GUARDS = (
    Guard(
        "A removal marks the version that it read before it closed the leases, and marks it once.",
        "job/removal.py",
        "        if _mark(seen, by):\n",
        "        if _mark(_due(job_id, due) or seen, by):\n",
        pair("filling-delete-delete-postgres"),
    ),
    Guard(
        "An amendment of an ended run raises the version, so a removal reads the counts again.",
        "report/held.py",
        "_COUNTS_MAY_BE_READ = AMENDABLE | {JobStatus.CANCELING}\n",
        "_COUNTS_MAY_BE_READ = {JobStatus.CANCELING}\n",
        f"{RACES}::TestAnAmendment::test_while_the_removal_has_read_the_counts_is_published",
    ),
    Guard(
        "An amendment through a lease that a removal did not close finds the mark.",
        "rows/lease.py",
        " or job.deleted_at is not None:\n",
        ":\n",
        f"{RACES}::TestAnAmendment::test_that_comes_after_the_mark_is_late",
    ),
    Guard(
        "Once the outcomes of its items are removed, nothing counts through a spent lease.",
        "../states.py",
        "            (LeaseState.SPENT, _SPENT),\n",
        "            (LeaseState.SPENT, _LIVE),\n",
        f"{RACES}::TestAReport::test_that_has_read_the_job_before_the_mark_counts_nothing[postgres-failure]",
    ),
    Guard(
        "A lease of a deleted job is not renewed.",
        "rows/renew.postgresql.sql",
        " AND j.deleted_at IS NULL\n",
        "\n",
        f"{RACES}::TestTheLeasesThatStayAsTheyAre::test_are_of_no_further_use[postgres]",
    ),
    Guard(
        "A lease of a deleted job is not renewed on SQLite either.",
        "rows/renew.sqlite.sql",
        " AND j.deleted_at IS NULL\n",
        "\n",
        f"{RACES}::TestTheLeasesThatStayAsTheyAre::test_are_of_no_further_use[sqlite]",
    ),
    Guard(
        "A removal closes the leases before its mark: nothing is counted after the mark.",
        "job/removal.py",
        "        close_leases(job_id, seen.run, unsettled=True)\n",
        "",
        pair("deleted-submit-reconcile-sqlite"),
    ),
    Guard(
        "A removal reconciles before it marks the job: what was counted before reaches the report.",
        "job/removal.py",
        "        reconcile(job_id)\n        if _mark(",
        "        if _mark(",
        "ledger/job/test_removal.py"
        "::test_what_was_counted_before_the_removal_is_published_and_what_comes_after_is_late",
    ),
    Guard(
        "A prune takes only jobs that are still due when marked.",
        "job/removal.py",
        "        if _mark(seen, by):\n",
        "        if _mark(_due(job_id, Q()) or seen, by):\n",
        "races/test_overtaken.py::TestAPruneThatWasOvertakenByARetry",
    ),
    Guard(
        "A job's leases are removed before the rows that a report may write.",
        "job/removal.py",
        "_LAST = (_rows_of(Lease), *_BESIDES,",
        "_LAST = (*_BESIDES, _rows_of(Lease),",
        pair("deleted-amend-prune-sqlite"),
    ),
    Guard(
        "A line that is logged while its job goes is taken back.",
        "rows/log.py",
        "    _take_back_if_removed(job_id, stored)\n",
        "",
        pair("failed-prune-log-sqlite"),
    ),
    Guard(
        "A report refers only to files that are not being removed.",
        "rows/hold_stored.postgresql.sql",
        " AND state = {STORED}",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A report locks its file's row until the reference to it is committed.",
        "rows/hold_stored.postgresql.sql",
        "\nFOR KEY SHARE",
        "",
        "interleave/test_outputs.py::"
        "test_a_report_and_the_collection_of_the_file_that_it_finds[postgres]",
    ),
    Guard(
        "A collection locks a file's row before it reads the references to it.",
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
        "One process begins an attempt to remove a file, and not before it is due.",
        "maintain/file_removal.py",
        "tries=row.tries + 1, started_at=clock.now(), next_try_at=clock.after(wait)",
        "tries=row.tries + 1, started_at=clock.now()",
        "ledger/maintain/test_file_removal.py::test_a_removal_that_died_is_gone_on_with",
    ),
    Guard(
        "The file of a result that was rejected is given up at once.",
        "report/report.py",
        "            self._give_up(settled.unused)\n",
        "",
        "ledger/rows/test_outputs.py::test_the_file_of_a_result_that_the_hook_refuses_for_good_goes_at"
        "_once",
    ),
    Guard(
        "A storage that hangs leaves server threads free for everything else.",
        "rows/outputs.py",
        "    with room():\n        try:\n            yield\n",
        "    if True:\n        try:\n            yield\n",
        "ledger/maintain/test_file_removal.py::test_a_storage_that_hangs_leaves_threads_for_what_needs_no_file",
    ),
    Guard(
        "A removal hands the files that its job referred to over to the sweep.",
        "job/removal.py",
        "        outputs.let_go(refs)\n",
        "",
        "ledger/rows/test_outputs.py::test_the_file_goes_with_its_job",
    ),
    Guard(
        "A file's row is written before the file: a crash leaves no unknown file.",
        "rows/outputs.py",
        "    _announce(name, digest)\n    saved = _save(name, content)\n",
        "    saved = _save(name, content)\n    _announce(name, digest)\n",
        "interleave/test_outputs.py::"
        "test_a_report_or_a_collection_that_dies_loses_no_file_and_leaves_none[sqlite]",
    ),
)
