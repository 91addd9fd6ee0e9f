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


def reader(name: str) -> str:
    return f"interleave/test_readers.py::test_each_answer_is_of_one_committed_state[{name}]"


GUARDS = (
    Guard(
        "An answer of several statements is read in one transaction.",
        "why.py",
        "@one_snapshot()\n",
        "",
        reader("last-report-postgres"),
    ),
    Guard(
        "All that is read in one transaction is of one snapshot.",
        "snapshot.py",
        "REPEATABLE READ",
        "READ COMMITTED",
        reader("last-report-postgres"),
    ),
    Guard(
        "A page of items is of one instant.",
        "items.py",
        "@repeated\n@one_snapshot()\ndef items(",
        "@repeated\ndef items(",
        reader("last-report-sqlite"),
    ),
    Guard(
        "A read transaction takes no write lock on SQLite.",
        "snapshot.py",
        '"DEFERRED"',
        '"IMMEDIATE"',
        "ledger/test_snapshot.py::test_a_reader_does_not_wait_for_a_writer",
    ),
    Guard(
        "An item waits no longer than its policy says, though the clock was ahead.",
        "waits.py",
        "    return _shorten_ranges() + _shorten_leases() + _shorten_events()",
        "    return _shorten_leases() + _shorten_events()",
        "ledger/test_clock_jumps.py::"
        "test_an_item_that_failed_while_the_clock_was_ahead_is_tried_in_time",
    ),
    Guard(
        "A lease that was granted while the clock was ahead ends in time.",
        "waits.py",
        "live.filter(claimed_at__gt=_after(0)) | live",
        "live",
        "ledger/test_clock_jumps.py::"
        "test_whatever_happens_while_the_clock_is_ahead_the_job_ends_in_time",
    ),
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
        "lock_job(self._job_id)\n",
        '__import__("joblot.ledger.jobs").ledger.jobs.read_job(self._job_id)\n',
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
    Guard(
        "A value from outside is nested no deeper than the limit, whatever brings it.",
        "../wire.py",
        """\
    if is_too_deep(value):  # first: the encoder goes as deep as the stack, and a thread's is small
        raise InvalidResult(too_deep())
""",
        "",
        "api/test_hostile_values.py::test_a_result_harms_no_other[sqlite-1-600 deep]",
    ),
    Guard(
        "So is a result of the older fleet, which is kept as it came.",
        "../api/json_text.py",
        """\
    if is_too_deep(parsed):
        raise InvalidResult(too_deep())
""",
        "",
        "api/antenna/test_hostile_values.py::test_a_result[sqlite-more-one level too deep]",
    ),
    Guard(
        "A text is measured before it is parsed.",
        "../api/json_text.py",
        "    text = within_bounds(text)\n",
        "",
        "test_bounded_json.py::test_only_the_value_that_is_too_deep_is_refused[100000]",
    ),
    Guard(
        "A text brings no more values than may be.",
        "../bounded_json.py",
        "        if values > most:\n",
        "        if False:\n",
        "test_bounded_json.py::test_more_values_than_may_be_are_refused_before_they_are_made[{}]",
    ),
    Guard(
        "A stored value that is nested too deep is not parsed.",
        "../bounded_json.py",
        "    if is_text_too_deep(text):\n",
        "    if False:\n",
        "ledger/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[sqlite-600]",
    ),
    Guard(
        "Of the items of a grant one that can't be read does not keep the others from being read.",
        "grants.py",
        "    elif is_text_too_deep(items, around=2):\n",
        "    elif False:\n",
        "ledger/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[postgres-990]",
    ),
    Guard(
        "A claim fails the items that no worker can be given.",
        "claims.py",
        "    lease = without_unreadable(lease)\n",
        "",
        "ledger/test_unreadable.py"
        "::test_a_payload_fails_its_item_and_the_others_are_served[sqlite-600]",
    ),
    Guard(
        "What the database refuses of one result is found by halving, and rejected.",
        "settle.py",
        """\
        left = [one for one in posted if one.receipt is None]
""",
        """\
        raise
""",
        "ledger/test_refused_by_the_database.py"
        "::test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others[postgres-alone]",
    ),
    Guard(
        "A sum that does not fit fails, on SQLite too, where + would go on with what is not exact.",
        "sql/sqlite/metric_add.sql",
        "(SELECT sum(v) FROM (SELECT joblot_metric.value AS v UNION ALL SELECT excluded.value))",
        "joblot_metric.value + excluded.value",
        "ledger/test_refused_by_the_database.py"
        "::test_a_sum_that_would_not_fit_rejects_its_result_and_counts_the_others[sqlite-alone]",
    ),
    Guard(
        "A snapshot of the candidates is as old as the moment before it was read.",
        "candidates.py",
        "        snapshot = Snapshot.of(_waiting(wanted), age, read_at)\n",
        "        snapshot = Snapshot.of(_waiting(wanted), self._age, read_at)\n",
        "ledger/test_shared_memory.py::test_what_was_forgotten_while_it_was_read_is_read_again",
    ),
    Guard(
        "A snapshot that was read earlier does not take the place of a later one.",
        "candidates.py",
        "            if snapshot.read_at > self._snapshot.read_at:\n",
        "            if True:\n",
        "ledger/test_shared_memory.py::test_a_slow_reader_does_not_put_an_older_state_over_a_newer",
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
    Guard(
        "A key with other content than before is a conflict.",
        "asked.py",
        "    if names:\n",
        "    if names and False:\n",
        pair("filling-submit_other-seal-sqlite"),
    ),
    Guard(
        "A submission seals only a job of which it has named every item.",
        "submit.py",
        "        _require_all(job, given)\n",
        "",
        pair("filling-submit-add_items-postgres"),
    ),
    Guard(
        "The total is compared in the version that is sealed.",
        "submit.py",
        "return advance(job.pk, job.version, sealed=True)",
        "return advance(job.pk, read_job(job.pk).version, sealed=True)",
        pair("filling-submit-add_items-postgres"),
    ),
    Guard(
        "What is asked again of a sealed job is compared, not refused.",
        "filling.py",
        "            if new:\n                self._require_open(",
        "            if job.sealed:\n"
        "                raise self._lacks(job, '')\n"
        "            if new:\n                self._require_open(",
        pair("filling-submit-submit-sqlite"),
    ),
    Guard(
        "An item with another payload than before is a conflict.",
        "filling.py",
        "            raise _conflict(known.key)\n",
        "            pass\n",
        "ledger/test_keys.py::TestAnotherSubmission::test_with_another_payload_is_a_conflict",
    ),
    Guard(
        "Of a submission each item counts once towards all of the job's.",
        "seen.py",
        "        if not self._bits[place] & bit:\n",
        "        if True:\n",
        "ledger/test_keys.py::TestTheSameSubmission"
        "::test_may_give_its_items_in_another_order_and_twice",
    ),
    Guard(
        "A claim's key gives its lease to the same claim only.",
        "claims.py",
        "    require_same_claim(lease, holder.asked)\n",
        "",
        "ledger/test_keys.py::TestAClaimsKey::test_of_another_claim_is_a_conflict",
    ),
    Guard(
        "A retry that names its run begins no later one.",
        "lifecycle.py",
        "    if run is not None and run <= job.run:\n        return True\n",
        "    run = None\n",
        "ledger/test_keys.py::test_a_retry_begins_the_run_that_is_named_once",
    ),
    Guard(
        "What was judged and rolled back is not said to be recorded.",
        "settle.py",
        "with _receipts_of_a_commit(posted), durable():",
        "with durable():",
        "crashes/test_what_is_known.py::test_a_report_that_was_rolled_back_claims_nothing",
    ),
    Guard(
        "An error inside COPY is the database's, and judged as any other.",
        "statements.py",
        "with connection.wrap_database_errors, context",
        "with context",
        "ledger/test_filling.py::test_a_conflict_is_repeated",
    ),
)
