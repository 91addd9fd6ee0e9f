"""Guards for events, their handlers, and hooks."""

from __future__ import annotations

from tests.interleave.guards.guard import Guard, pair

GUARDS = (
    Guard(
        "An event is fanned out after the earlier events of its job.",
        "maintain/outbox.py",
        "rows.filter(~Exists(earlier))",
        "rows",
        pair("failed-deliver-deliver-postgres"),
    ),
    Guard(
        "A handler gets an event after the earlier events of its job.",
        "maintain/delivery.py",
        "filter(~Exists(earlier), delivered_at__isnull=True)",
        "filter(delivered_at__isnull=True)",
        "ledger/read/test_undelivered.py::test_what_a_handler_has_not_taken_keeps_its_jobs_later_events"
        "_from_it_and_no_others",
    ),
    Guard(
        "A delivery's mark commits together with its handler's writes.",
        "maintain/delivery.py",
        "            call.handler.call(call.event)\n    return True",
        "            pass\n    call.handler.call(call.event)\n    return True",
        "ledger/maintain/test_delivery.py::test_effects_in_the_same_database_happen_exactly_once",
    ),
    Guard(
        "One process begins an attempt of a delivery, and not before it is due.",
        "maintain/delivery.py",
        "            event_id=event_id, handler=name, next_try_at__lte=clock.now()\n",
        "            event_id=event_id, handler=name\n",
        "ledger/read/test_undelivered.py::test_a_try_that_was_begun_is_not_begun_again_before_its_time",
    ),
    Guard(
        "A call that a later attempt has overtaken marks nothing.",
        "maintain/delivery.py",
        "tries=call.tries, delivered_at__isnull=True",
        "delivered_at__isnull=True",
        "ledger/read/test_undelivered.py::test_a_call_that_was_overtaken_marks_nothing",
    ),
    Guard(
        "The sweep runs no adopter code.",
        "maintain/sweep.py",
        "    fanned_out = fan_out()\n",
        "    fanned_out = fan_out()\n"
        '    __import__("joblot.ledger.maintain.delivery").ledger.delivery.deliver()\n',
        "testing/simulator/test_simulator.py::test_everything_holds_for_a_known_seed",
    ),
    Guard(
        "The sweep calls no storage.",
        "maintain/sweep.py",
        "    mark_unreferenced(limits().removal_seconds_per_sweep)\n",
        "    mark_unreferenced(limits().removal_seconds_per_sweep)\n"
        "    from joblot.ledger.maintain import file_removal\n    file_removal.remove_files()\n",
        "ledger/maintain/test_file_removal.py"
        "::test_a_storage_that_does_not_remove_is_called_by_no_sweep_and_doctor_names_its_files",
    ),
    Guard(
        "A job for which a step of the sweep fails does not delay other jobs.",
        "rows/sweep_failures.py",
        "        failed(step, job_id, error)\n        return False\n",
        "        raise\n",
        "ledger/maintain/test_sweep_failures.py::test_a_job_whose_step_fails_keeps_no_other_from_its_turn"
        "_and_goes_on_when_it_can",
    ),
    Guard(
        "The sweep skips jobs that were put off.",
        "maintain/sweep.py",
        '    jobs = jobs.exclude(put_off(step, "pk"))\n',
        "",
        "ledger/maintain/test_sweep_failures.py::test_more_jobs_that_fail_than_a_batch_holds_starve_none",
    ),
    Guard(
        "A hook whose transaction was ended can write nothing more.",
        "db/sqlite.py",
        '        _execute(file, "PRAGMA query_only = ON")\n',
        "",
        "ledger/db/test_time_limit.py::test_what_it_goes_on_to_write_is_not_committed"
        "[sqlite-on_result-inserts_past_django]",
    ),
    Guard(
        "A hook that hangs holds the locks of its report for its limit.",
        "report/hook_calls.py",
        "ended_after(seconds, what)",
        "ended_after(600 * seconds, what)",
        "ledger/db/test_time_limit.py::test_at_its_limit_the_locks_are_let_go_and_the_results_can_be"
        "_reported_again",
    ),
    Guard(
        "Hooks that hang leave server threads free for everything else.",
        "room.py",
        "            while self._running >= self.threads_max:\n",
        "            while False:\n",
        "ledger/test_room.py::test_while_hooks_that_hang_take_all_room_others_are_refused"
        "_and_the_rest_goes_on",
    ),
    Guard(
        "Two sweeps write one sample of a job per tick.",
        "maintain/write_samples.sqlite.sql",
        "ON CONFLICT DO NOTHING\n",
        "",
        "ledger/maintain/test_sample.py::test_two_sweeps_at_once_write_one_row[sqlite]",
    ),
    Guard(
        "A lease that a cancel closes keeps how many items it held.",
        "job/cancel_1.function.postgresql.sql",
        "UPDATE joblot_lease SET state = {CLOSED}\n        WHERE token IN",
        "UPDATE joblot_lease SET state = {CLOSED}, open = 0\n        WHERE token IN",
        "ledger/read/test_partition.py::test_the_open_items_of_a_canceled_job_are_of_three_kinds",
    ),
)
