"""The guards of the ledger, each with a way to take it out and the test that then turns red.

`python -m tests.interleave.mutants` (`make mutants`) takes them out one by one; docs/guards.md is
made from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Guard:
    """`kept`: what it says, as a sentence. In `file` (below src/joblot/ledger) `old` becomes `new`.

    `caught_by`: the test, below tests.
    """

    kept: str
    file: str
    old: str
    new: str
    caught_by: str

    def text(self, src: Path) -> str:
        return (src / "joblot" / "ledger" / self.file).read_text(encoding="utf-8")

    def take_out(self, src: Path) -> None:
        """In a copy of joblot. Raises ValueError if the guard is not there exactly once."""
        text = self.text(src)
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: expected {self.old!r} once; mend the table of guards")
        path = src / "joblot" / "ledger" / self.file
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def pair(name: str) -> str:
    return f"interleave/test_pairs.py::test_a_pair[{name}]"


GUARDS = (
    Guard(
        "A report counts only through a lease that is not closed.",
        "sql/postgresql/settle_if_held.sql",
        "ON h.state IN ({HOLDING}) OR (p.state = {SUCCEEDED} AND h.state = {EXPIRED})",
        "ON true",
        pair("last-cancel-report-postgres"),
    ),
    Guard(
        "A report locks its lease before it judges.",
        "settlement.py",
        "Lease.ledger.using(alias()).select_for_update().filter(pk=token)",
        "Lease.ledger.using(alias()).filter(pk=token)",
        pair("running-requeue-expire-postgres"),
    ),
    Guard(
        "Of two results of an item one is counted.",
        "sql/postgresql/settle_if_held.sql",
        "    ON CONFLICT (job_id, stage, number) DO NOTHING\n",
        "",
        pair("last-report-amend-postgres"),
    ),
    Guard(
        "A lease remembers what it gave back.",
        "settlement.py",
        "gone=sorted(self.given_up),",
        "gone=[],",
        pair("last-requeue-look-sqlite"),
    ),
    Guard(
        "A slot is added to, not written over.",
        "sql/common/tally_add.sql",
        "failed = joblot_tally.failed + excluded.failed",
        "failed = excluded.failed",
        pair("failed-amend-look-sqlite"),
    ),
    Guard(
        "Whoever changes the job names the version that he has read.",
        "jobs.py",
        ".filter(pk=job_id, version=version)",
        ".filter(pk=job_id)",
        pair("last-report-look-sqlite"),
    ),
    Guard(
        "Who has looked and written, or was overtaken, looks again.",
        "look.py",
        "        write(seen, due)\n",
        "        write(seen, due)\n        return seen.status\n",
        pair("last-pause-report-sqlite"),
    ),
    Guard(
        "An expiry looks: it may have lost the last item.",
        "leases.py",
        "    if job_id is not None:\n        look(job_id)\n",
        "",
        pair("last-expire-expire-sqlite"),
    ),
    Guard(
        "A seal looks: all may be settled already.",
        "submit.py",
        "    transaction.on_commit(lambda: look(job_id) and None, using=alias())\n",
        "",
        "races/test_explored.py::test_a_seal_and_the_last_report",
    ),
    Guard(
        "A job is revoked only when all of its leases are closed.",
        "sql/common/look.sql",
        "l.state IN ({UNCLOSED})",
        "false",
        pair("last-cancel-look-sqlite"),
    ),
    Guard(
        "A claim locks its range.",
        "sql/postgresql/lock_free_range.sql",
        "\n    FOR UPDATE SKIP LOCKED",
        "",
        pair("running-claim-claim-postgres"),
    ),
    Guard(
        "A claim reads the job's status after it has locked its range.",
        "sql/postgresql/grant_if_claimable.sql",
        " AND j.status IN ({CLAIMABLE})",
        "",
        "races/test_explored.py::test_a_claim_grants_nothing_after_the_pause",
    ),
    Guard(
        "A cancel takes the ranges away, and so waits for claims in flight.",
        "lifecycle.py",
        "            drain_claims(job_id, {JobStatus.CANCELING}, job.run)\n",
        "",
        pair("running-cancel-claim-postgres"),
    ),
    Guard(
        "A cancel closes expired leases too.",
        "leases.py",
        "job_id=job_id, run__lte=run, state__in=UNCLOSED",
        "job_id=job_id, run__lte=run, state=LeaseState.LIVE",
        pair("last-cancel-amend-sqlite"),
    ),
    Guard(
        "A cancel and a retry close the leases of their own run only.",
        "leases.py",
        "job_id=job_id, run__lte=run, state__in=UNCLOSED",
        "job_id=job_id, state__in=UNCLOSED",
        "races/test_overtaken.py::TestACancelThatWasFinishedByAnother"
        "::test_leaves_the_leases_of_the_next_run",
    ),
    Guard(
        "A retry closes the leases of the run before, before it reopens.",
        "lifecycle.py",
        "    close_leases(job_id, job.run - 1)\n",
        "",
        "ledger/test_reopen.py"
        "::test_a_success_through_the_earlier_run_does_not_settle_what_is_being_reopened",
    ),
    Guard(
        "Two who reopen take each chunk once, under the job's row.",
        "reopen.py",
        "        job = lock_job(job_id)\n",
        '        job = __import__("joblot.ledger.jobs").ledger.jobs.read_job(job_id)\n',
        pair("retrying-reopen-reopen-postgres"),
    ),
    Guard(
        "An expiry locks the lease before it reads what is open.",
        "leases.py",
        "        locked = live.select_for_update(skip_locked=skip_locked)\n",
        "        locked = live\n",
        pair("last-report-expire-postgres"),
    ),
    Guard(
        "Locks are taken in one order: an expiry locks its lease first, then items, as a report.",
        "leases.py",
        """\
        locked = live.select_for_update(skip_locked=skip_locked)
        lease: Lease | None = locked.order_by("expires_at").first()
        if lease is None:
            return None
        job = read_job(lease.job_id, deleted=True)
        _return_items(job, lease, cause)
""",
        """\
        lease: Lease | None = live.order_by("expires_at").first()
        if lease is None:
            return None
        job = read_job(lease.job_id, deleted=True)
        _return_items(job, lease, cause)
        if not list(live.select_for_update().filter(pk=lease.pk)):
            __import__("django.db").db.transaction.set_rollback(True, using=alias())
            return None
""",
        pair("last-report-expire-postgres"),
    ),
    Guard(
        "A release locks the lease before it reads what is open.",
        "leases.py",
        "_find(token, locked=True)",
        "_find(token)",
        pair("running-release-requeue-postgres"),
    ),
    Guard(
        "A merge locks the ranges that it replaces.",
        "merge.py",
        "            .select_for_update(skip_locked=True)\n",
        "",
        pair("running-claim-merge-postgres"),
    ),
    Guard(
        "Two who fill a job number its items one after the other.",
        "filling.py",
        "        job = lock_job(job_id)\n",
        '        job = __import__("joblot.ledger.jobs").ledger.jobs.read_job(job_id)\n',
        pair("filling-add_items-add_items-postgres"),
    ),
    Guard(
        "A fold waits while an amendment was counted that nobody has told.",
        "fold.py",
        "untold = seen is not None and decide(seen) is not None",
        "untold = False",
        "ledger/test_fold.py::test_an_amendment_that_nobody_looked_at_is_told_though_it_was_folded",
    ),
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
        "logs.py",
        "        _take_back_if_removed(job_id, line)\n",
        "",
        pair("failed-prune-log-sqlite"),
    ),
    Guard(
        "An event is locked while it is delivered, so that no mark outlives it.",
        "outbox.py",
        "        if not locked or not _mark_delivered(event, name):\n",
        "        if not _mark_delivered(event, name):\n",
        pair("failed-prune-deliver-sqlite"),
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
