"""Guards for two concurrent verbs."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

REVOCATION = "ledger/maintain/test_revocation.py"
MEANWHILE = "test_a_lease_that_was_granted_meanwhile_is_of_no_use_and_released_by_the_sweep"

GUARDS = (
    Guard(
        "A report locks its lease before it judges.",
        "report/held.py",
        "Lease.ledger.using(alias()).select_for_update().filter(pk=token)",
        "Lease.ledger.using(alias()).filter(pk=token)",
        pair("running-requeue-expire-postgres"),
    ),
    Guard(
        "Nothing of a revoked worker is judged.",
        "report/held.py",
        "        if revoked_at is not None:\n",
        "        if False:\n",
        f"{REVOCATION}::test_its_next_report_is_refused_and_counts_nothing[sqlite]",
    ),
    Guard(
        "The sweep releases what was granted while a worker was being revoked.",
        "maintain/sweep.py",
        "    release_revoked()\n",
        "",
        f"{REVOCATION}::{MEANWHILE}[postgres]",
    ),
    Guard(
        "A lease remembers what it gave back.",
        "report/write.py",
        "gone=json.dumps(sorted(gone)),",
        'gone="[]",',
        pair("last-requeue-reconcile-sqlite"),
    ),
    Guard(
        "A tally slot is added to, never overwritten.",
        "rows/tally_add.sql",
        "failed = joblot_tally.failed + excluded.failed",
        "failed = excluded.failed",
        pair("failed-amend-reconcile-sqlite"),
    ),
    Guard(
        "A change of a job names the version that was read.",
        "rows/job.py",
        ".filter(pk=job_id, version=version)",
        ".filter(pk=job_id)",
        pair("last-report-reconcile-sqlite"),
    ),
    Guard(
        "A reconciliation that wrote, or lost its compare-and-set, is repeated.",
        "job/reconcile.py",
        "        if write(found, due) and due.kind",
        "        if write(found, due) or True or due.kind",
        pair("last-pause-report-sqlite"),
    ),
    Guard(
        "A retry within the run changes the version, so no end that was decided before is written.",
        "job/reopen_failed.py",
        "        advance(job.pk, job.version)\n",
        "",
        "races/test_retry_within.py::test_a_retry_and_the_last_report[sqlite]",
    ),
    Guard(
        "It notes in a lease what went back, so that a repeated failure does not fail it again.",
        "job/reopen_failed.py",
        "        _note_gone(leases, gone)\n",
        "",
        "ledger/job/test_retry_within.py::test_a_failure_that_is_posted_again_does_not_fail_it_again"
        "[sqlite]",
    ),
    Guard(
        "Its items are queued as such that may have been settled since.",
        "job/reopen_failed.py",
        "Span(*island, returns=RELEASED)",
        "Span(*island)",
        "ledger/job/test_retry_within.py::"
        "test_a_late_success_counts_and_the_item_is_not_claimed_again[sqlite]",
    ),
    Guard(
        "It reopens nothing in a run that has ended.",
        "job/reopen_failed.py",
        "            if job.status not in FINALIZABLE or job.run != self.run:\n",
        "            if False:\n",
        "races/test_retry_within.py::test_a_retry_and_the_last_report[postgres]",
    ),
    Guard(
        "It waits for no lease while it holds another.",
        "job/reopen_failed.py",
        "select_for_update(skip_locked=True)",
        "select_for_update()",
        "races/test_retry_within.py::"
        "test_a_lease_that_is_locked_is_waited_for_while_no_other_is_held[postgres]",
    ),
    Guard(
        "An expiry reconciles the job: it may have lost the last item.",
        "lease.py",
        "    if expired is not None:\n        reconcile(expired.job_id)\n",
        "",
        pair("last-expire-expire-sqlite"),
    ),
    Guard(
        "A seal reconciles the job: all may be settled already.",
        "submit/submit.py",
        "    transaction.on_commit(lambda: reconcile(job_id) and None, using=alias())\n",
        "",
        "races/test_explored.py::test_a_seal_and_the_last_report",
    ),
    Guard(
        "A cancel that expects a number of items counts them in the statement that changes it.",
        "job/lifecycle.py",
        "            only = still_unsettled(job, expected, or_fewer=or_fewer)\n",
        "",
        "ledger/job/test_expected.py"
        "::test_a_report_between_the_count_and_the_change_is_noticed[sqlite]",
    ),
    Guard(
        "An edit locks the job's row before it reads what it changes.",
        "job/edit.py",
        "        job = lock_job(job_id)\n",
        '        job = __import__("joblot.ledger.rows.job").ledger.rows.job.read_job(job_id)\n',
        "races/test_locks.py::TestAnEdit::test_is_not_lost_to_a_change_that_begins_after_it",
    ),
    Guard(
        "Of two concurrent reopenings, each chunk is taken by one, under the job's row lock.",
        "job/reopen.py",
        "        job = lock_job(job_id)\n",
        '        job = __import__("joblot.ledger.rows.job").ledger.rows.job.read_job(job_id)\n',
        pair("retrying-reopen-reopen-postgres"),
    ),
    Guard(
        "A retry of one cause reopens only its items, whichever process continues it.",
        "job/reopen.py",
        "    if (selection := Selection.stored(cursor)) is not None:\n",
        "    if (selection := None) is not None:\n",
        "ledger/job/test_retry_cause.py::test_the_selection_survives_the_death_of_the_process",
    ),
    Guard(
        "The cursor of a retry keeps what it has selected.",
        "job/reopen.py",
        "reopening=job.reopening | following",
        'reopening={"start": job.reopening["start"], **following}',
        "ledger/job/test_retry_cause.py::test_a_retry_of_many_items_goes_chunk_by_chunk",
    ),
    Guard(
        "A retry that expects another number of items is rolled back.",
        "job/retry.py",
        "        if expected is not None and items != expected:\n",
        "        if False:\n",
        "ledger/job/test_retry_cause.py::test_another_number_than_expected_changes_nothing",
    ),
    Guard(
        "An expiry locks the lease before it reads its open items.",
        "lease.py",
        "        locked = live.select_for_update(skip_locked=skip_locked)\n",
        "        locked = live\n",
        pair("last-report-expire-postgres"),
    ),
    Guard(
        "Locks have one order: an expiry locks its lease first, then items, like a report.",
        "lease.py",
        """\
        locked = live.select_for_update(skip_locked=skip_locked)
        lease: Lease | None = locked.order_by("expires_at").first()
        if lease is None:
            return None
        tried.job_id = lease.job_id
        job = read_job(lease.job_id, deleted=True)
        expired = Expired(job.pk, lease.worker, str(lease.pk))
        _return_items(job, lease, cause, expired)
""",
        """\
        lease: Lease | None = live.order_by("expires_at").first()
        if lease is None:
            return None
        job = read_job(lease.job_id, deleted=True)
        expired = Expired(job.pk, lease.worker, str(lease.pk))
        _return_items(job, lease, cause, expired)
        if not list(live.select_for_update().filter(pk=lease.pk)):
            __import__("django.db").db.transaction.set_rollback(True, using=alias())
            return None
""",
        pair("last-report-expire-postgres"),
    ),
    Guard(
        "A release locks the lease before it reads its open items.",
        "lease.py",
        "find(token, locked=True)",
        "find(token)",
        pair("running-release-requeue-postgres"),
    ),
    Guard(
        "A merge locks the ranges that it replaces.",
        "maintain/merge.py",
        "            .select_for_update(skip_locked=True)\n",
        "",
        pair("running-claim-merge-postgres"),
    ),
    Guard(
        "Of two concurrent submissions to a job, one numbers its items after the other.",
        "submit/items.py",
        "lock_job(self._job_id)\n",
        '__import__("joblot.ledger.rows.job").ledger.rows.job.read_job(self._job_id)\n',
        pair("filling-add_items-add_items-postgres"),
    ),
    Guard(
        "A fold waits for a counted amendment that has no event yet.",
        "maintain/fold.py",
        "untold = seen is not None and decide(seen) is not None",
        "untold = False",
        "ledger/maintain/test_fold.py::test_an_amendment_that_was_not_reconciled_is_published_though_it_was_folded",
    ),
    Guard(
        "A seal compares the total in the version that it seals.",
        "submit/submit.py",
        "won = advance(job.pk, job.version, sealed=True)",
        "won = advance(job.pk, read_job(job.pk).version, sealed=True)",
        pair("filling-submit-add_items-postgres"),
    ),
    Guard(
        "A submission repeated for a sealed job is compared, not refused.",
        "submit/items.py",
        "            if new:\n                self._require_open(",
        "            if job.sealed:\n"
        "                raise self._lacks(job, '')\n"
        "            if new:\n                self._require_open(",
        pair("filling-submit-submit-sqlite"),
    ),
    Guard(
        "An item submitted again with another payload is a conflict.",
        "submit/items.py",
        "            raise _conflict(known.key)\n",
        "            pass\n",
        "ledger/submit/test_keys.py::TestAnotherSubmission::test_with_another_payload_is_a_conflict",
    ),
    Guard(
        "A retry that names a run begins no later run.",
        "job/retry.py",
        "    if run is not None and run <= job.run:\n        return True\n",
        "    run = None\n",
        "ledger/submit/test_keys.py::test_a_retry_begins_the_run_that_is_named_once",
    ),
)
