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
        "            _drain_claims(job_id)\n",
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
        "An event is fanned out after the earlier ones of its job.",
        "outbox.py",
        "rows.filter(~Exists(earlier))",
        "rows",
        pair("failed-deliver-deliver-postgres"),
    ),
    Guard(
        "A handler gets an event after the earlier ones of its job.",
        "delivery.py",
        "filter(~Exists(earlier), delivered_at__isnull=True)",
        "filter(delivered_at__isnull=True)",
        "ledger/test_undelivered.py::test_what_a_handler_has_not_taken_keeps_its_jobs_later_events"
        "_from_it_and_no_others",
    ),
    Guard(
        "The mark of a delivery commits with what its handler wrote.",
        "delivery.py",
        "            call.handler.call(call.event)\n    return True",
        "            pass\n    call.handler.call(call.event)\n    return True",
        "ledger/test_delivery.py::test_effects_in_the_same_database_happen_exactly_once",
    ),
    Guard(
        "A try is begun by one process, and not before its time.",
        "delivery.py",
        "            event_id=event_id, handler=name, next_try_at__lte=clock.now()\n",
        "            event_id=event_id, handler=name\n",
        "ledger/test_undelivered.py::test_one_handler_occupies_so_many_processes_and_the_next_one"
        "_serves_others",
    ),
    Guard(
        "A call that was overtaken by a later try marks nothing.",
        "delivery.py",
        "tries=call.tries, delivered_at__isnull=True",
        "delivered_at__isnull=True",
        "ledger/test_undelivered.py::test_a_call_that_was_overtaken_marks_nothing",
    ),
    Guard(
        "The sweep runs no adopter's code.",
        "sweep.py",
        "    fanned_out = fan_out()\n",
        "    fanned_out = fan_out()\n"
        '    __import__("joblot.ledger.delivery").ledger.delivery.deliver()\n',
        "testing/simulator/test_simulator.py::test_everything_holds_for_a_known_seed",
    ),
    Guard(
        "A hook whose transaction was ended can write nothing more, through Django.",
        "time_limit.py",
        "        one.connection.needs_rollback = True\n",
        "",
        "ledger/test_time_limit.py::test_what_it_goes_on_to_write_is_not_committed"
        "[postgres-on_event-inserts_in_a_savepoint]",
    ),
    Guard(
        "A hook whose transaction was ended can write nothing more, past Django's check.",
        "time_limit.py",
        '        _execute(file, "PRAGMA query_only = ON")\n',
        "",
        "ledger/test_time_limit.py::test_what_it_goes_on_to_write_is_not_committed"
        "[sqlite-on_result-inserts_past_django]",
    ),
    Guard(
        "A hook that hangs holds the locks of its report for its limit.",
        "settlement.py",
        "ended_after(seconds, what)",
        "ended_after(600 * seconds, what)",
        "ledger/test_time_limit.py::test_at_its_limit_the_locks_are_let_go_and_the_results_can_be"
        "_reported_again",
    ),
    Guard(
        "Hooks that hang leave threads of a server for everything else.",
        "hook_room.py",
        "            while self._running >= self.threads_max:\n",
        "            while False:\n",
        "ledger/test_hook_room.py::test_while_hooks_that_hang_take_all_room_others_are_refused"
        "_and_the_rest_goes_on",
    ),
    Guard(
        "A fold waits while an amendment was counted that nobody has told.",
        "fold.py",
        "untold = seen is not None and decide(seen) is not None",
        "untold = False",
        "ledger/test_fold.py::test_an_amendment_that_nobody_looked_at_is_told_though_it_was_folded",
    ),
)
