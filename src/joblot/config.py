"""Every limit of an installation, with its unit in its name, and its default policy.

`settings.JOBLOT` overrides them by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from joblot.errors import InvalidPolicy
from joblot.policy import Policy

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

L = TypeVar("L", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Limits:
    """What this installation accepts, and how much it does at once."""

    item_key_chars_max: int = 512
    name_chars_max: int = 200
    stages_max: int = 32
    json_depth_max: int = 100  # levels of lists and objects in a payload, a config, an output
    json_values_max: int = 4_000_000  # of one request; a list or an object counts as 8
    payload_bytes_max: int = 262_144
    config_bytes_max: int = 262_144
    output_bytes_max: int = 67_108_864
    output_bytes_inline_max: int = 65_536  # a larger output goes to Django's storage
    output_unsettled_seconds: float = 3_600.0  # how long a file is kept for a report to refer to it
    output_removal_seconds_max: float = 30.0  # of one file's removal; then its process is ended
    output_removal_retry_seconds: float = 60.0  # after the storage has failed to remove a file
    output_rounds_max: int = 10  # of one report: storing its files and settling their results
    outputs_checked_batch: int = 100  # files that one transaction of the sweep checks
    error_chars_max: int = 4_000
    error_traceback_chars_max: int = 8_000  # of a longer one, the head and the end are kept
    progress_chars_max: int = 200  # of what a function says of its progress; a longer text is cut
    actor_chars_max: int = 200  # of who changes a job; a longer name is cut
    reason_chars_max: int = 1_000
    log_lines_max: int = 10_000  # of one job's log, without its events
    log_chars_max: int = 10_000_000  # of one job's log
    log_queue_lines_max: int = 5_000  # of JobLogHandler that wait; further ones are dropped
    log_batch_lines_max: int = 500  # that it writes at once
    log_batch_seconds: float = 0.2  # for which it waits for more lines before it writes
    log_retry_seconds: float = 1.0  # after the database has failed; doubles
    log_retry_seconds_max: float = 30.0
    log_flush_seconds: float = 2.0  # for which an exit waits for lines that are not written
    metrics_per_result_max: int = 32
    retry_keys_max: int = 1_000  # named by one retry
    results_per_report_max: int = 1_000
    claim_items_max: int = 1_000
    lease_seconds_max: float = 604_800.0  # of one renewal
    page_items_max: int = 1_000
    page_probe_items: int = 20_000  # examined for one page of the items in a state
    jobs_counted_max: int = 10_000  # in each status, for the counts beside a list of jobs
    causes_max: int = 200  # of the failures of a job, in one answer; further items are "other"
    cause_samples_max: int = 5  # items shown as examples of a cause
    cause_workers_max: int = 5  # named per cause
    cause_workers_items_max: int = 1_000  # of a cause, whose workers are determined
    results_page_items: int = 200  # of a stream of results, read together
    results_page_bytes: int = 4_194_304  # of outputs from the storage, after which a page ends
    prune_seconds_max: float = 5.0  # of one request; the client repeats it for the rest

    add_chunk_items: int = 2_000  # items numbered under one lock of the job's row
    add_chunk_bytes: int = 4_194_304
    range_items_min: int = 64
    range_items_max: int = 256  # each claim leaves a dead version of its range's row behind
    ranges_per_job: int = 256  # the target, between these two sizes
    range_wait_seconds: float = 2.0  # for a locked range, before a claim returns empty
    range_floor_seconds: float = 5.0  # how long a process trusts the floor of the ranges
    range_floor_step_seconds: float = 0.2  # how often it searches for a higher floor
    candidates_seconds: float = 1.0  # after which the candidates cache is stale
    claim_stages_batch: int = 16  # in which one statement searches for a free range
    claim_reason_rows_max: int = 64  # ranges of a stage, and leases, read to estimate a wait
    claim_retry_seconds_min: float = 0.1  # in the answer to a claim that found nothing
    claim_retry_seconds_max: float = 5.0
    priority_step_seconds: float = 3_600.0  # of age, as which one step of priority counts

    claims_shared_max: int = 16  # claims over HTTP that share one statement and commit

    conflict_retries_max: int = 30
    conflict_backoff_seconds: float = 0.005
    conflict_seconds_max: float = 60.0  # for all tries together; shorter than a lease
    reconcile_rounds_max: int = 100
    close_leases_batch: int = 500
    reopen_chunk_items: int = 2_000
    merge_ranges_batch: int = 1_000
    merge_ranges_min: int = 256  # fewer waiting ranges than this are left alone
    removal_rows_first: int = 100  # removed by the first transaction of a removal
    removal_rows_max: int = 2_000  # removed by one transaction
    removal_seconds_aimed: float = 0.1  # per transaction; if it takes longer, the next is smaller
    removal_seconds_per_sweep: float = 0.5  # spent on removals in a round of the sweep
    sweep_jobs_batch: int = 500
    sweep_seconds: float = 1.0
    sweep_backoff_seconds: float = 1.0  # of a job, after a step has failed for it; doubles
    sweep_backoff_seconds_max: float = 300.0
    clock_check_seconds: float = 60.0  # between checks for what waits longer than its rule allows
    clock_slack_seconds: float = 5.0  # by which it may be exceeded
    outbox_batch_events: int = 100
    outbox_backoff_seconds: float = 1.0
    outbox_backoff_seconds_max: float = 3_600.0

    handler_seconds_max: float = 30.0  # of one on_event handler's call; then its process is ended
    handler_processes_max: int = 4  # that one process starts to run handlers
    handler_at_once_max: int = 2  # of these that one handler may occupy, over all servers
    handler_slow_seconds: float = 1.0  # of a call, after which another process runs the others
    handler_idle_seconds: float = 30.0  # without work, after which such a process ends
    handler_poll_seconds: float = 0.5  # between checks for events to deliver
    handler_stop_seconds_max: float = 5.0  # that a call may continue when its process must stop
    hook_seconds_max: float = 30.0  # of the hooks of one report; then its transaction is ended
    deferral_kept_seconds: float = 600.0  # after a deferred result was last posted
    deferral_log_seconds: float = 60.0  # between two lines about deferrals in a job's log

    body_bytes_max: int = 67_108_864  # of one request; a token may have a lower limit
    line_bytes_max: int = 1_048_576  # of a streamed item
    wait_seconds_max: float = 30.0  # that a claim may wait for work; shorter than any lease
    waiting_poll_seconds: float = 2.0  # between checks for work while PostgreSQL notifies of it
    cap_poll_seconds: float = 0.1  # between checks of a cap that holds up a waiting claim
    events_poll_seconds: float = 1.0  # between checks of an event stream for the next event
    cancel_named_items: int = 10_000  # unsettled; to cancel more on a page, type the job's name
    projects_listed_max: int = 100  # in the menu of a page
    bulk_jobs_max: int = 1_000  # that one act on a list of jobs changes
    bulk_seconds_max: float = 20.0  # after which such an act begins no further job
    live_seconds: float = 1.0  # between reads of a watched job, for all viewers of a process
    live_final_seconds: float = 10.0  # the same, once its run has ended; below the page's patience
    live_rights_seconds: float = 30.0  # between checks of a viewer's rights
    retry_after_seconds: float = 2.0  # sent to a client while the database is unavailable
    names_per_token_max: int = 100
    token_used_seconds: float = 60.0  # between writes of when a token was last used
    pipelines_per_claim_max: int = 100
    worker_about_bytes_max: int = 8_192
    worker_seen_seconds: float = 10.0  # between writes of when a worker was last seen
    unserved_stages_max: int = 100  # with waiting items and no worker, that a page reads
    worker_offline_seconds: float = 60.0  # after it was last seen
    worker_kept_seconds: float = 604_800.0  # after it was last seen; then it is removed
    map_items_max: int = 1_000_000  # of a job, covered by one map
    drift_jobs_max: int = 500  # the newest ended jobs whose counts /metrics compares
    picture_items_max: int = 10_000_000  # of a job, in one picture of all items
    picture_seconds_min: float = 2.0  # between two pictures that one server builds of a job
    picture_rest_factor_min: float = 20.0  # times what a picture took to build, before the next
    picture_changes_max: int = 20_000  # runs of changed items; for more, the whole picture is sent
    picture_cache_bytes_max: int = 67_108_864  # of pictures that one server keeps, a byte per item
    gauge_rows_max: int = 100_000  # counted for one gauge of /metrics, even if there are more
    sweep_overdue_seconds: float = 30.0  # after which a server reports that it is unhealthy

    webhooks_max: int = 1_000  # that have not ended
    webhook_seconds_max: float = 15.0  # of one try, including DNS and the response
    webhook_answer_bytes_max: int = 1_024  # read from a response, to be shown; the rest is ignored
    webhook_tries_max: int = 25  # after which a delivery is given up; two to three days
    webhook_backoff_seconds: float = 5.0  # after the first try; doubles; minus up to half, random
    webhook_backoff_seconds_max: float = 21_600.0
    webhook_retry_after_seconds_max: float = 86_400.0  # that a receiver may request
    webhook_receivers_max: int = 8  # that one process sends to concurrently
    webhook_deliveries_batch: int = 20  # to one receiver before the next one's turn
    webhook_poll_seconds: float = 1.0  # between checks for due deliveries
    webhook_private_allowed: bool = False  # allow webhooks to call addresses that are not public


# Above these values some component would fail, whatever the installation allows.
CEILINGS: Mapping[str, float] = {
    "json_depth_max": 150,  # the parser's limit is 200
    "actor_chars_max": 200,  # of the column
}

# Threads: frozen values, each replaced by one assignment when Django starts.
_limits = Limits()
_default_policy = Policy()  # Threads: as above


def limits() -> Limits:
    return _limits


def default_policy() -> Policy:
    return _default_policy


def configure(settings: Mapping[str, Any]) -> None:
    """Apply the installation's settings: limits by name, and `POLICY`, the default policy.

    Raises InvalidPolicy for an unknown name or an invalid value.
    """
    global _limits, _default_policy
    given = {name.lower(): value for name, value in settings.items()}
    policy = Policy.of(given.pop("policy", None))
    chosen = overridden(Limits(), given, "JOBLOT", also=("POLICY",))
    for name, most in CEILINGS.items():
        if (value := getattr(chosen, name)) > most:
            raise InvalidPolicy(f"settings.JOBLOT: {name}: expected at most {most:g}, got {value}")
    _limits, _default_policy = chosen, policy


def overridden(
    defaults: L, settings: Mapping[str, Any], setting: str, *, also: Iterable[str] = ()
) -> L:
    """`defaults`, a dataclass of limits, overridden by the values in `settings`.

    Names are case-insensitive. `setting` is the name of the setting, and `also` its other valid
    names, both for messages. Raises InvalidPolicy for an unknown name or an invalid value.
    """
    given = {name.lower(): value for name, value in settings.items()}
    names = {field.name for field in fields(defaults)}
    if unknown := sorted(set(given) - names):
        near = get_close_matches(unknown[0], [*names, *map(str.lower, also)], n=1)
        known = f"known are {' and '.join([*also, ', '.join(sorted(names))])}"
        raise InvalidPolicy(
            f"unknown name in settings.{setting}: {', '.join(unknown)}; "
            f"{f'did you mean {near[0]}?' if near else known}"
        )
    for name, value in given.items():
        _check_limit(f"settings.{setting}: {name}", getattr(defaults, name), value)
    return replace(defaults, **given)


def _check_limit(name: str, default: Any, value: Any) -> None:
    """A limit has the type of its default: a boolean, or a number above 0."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InvalidPolicy(f"{name}: expected True or False, got {value!r:.99}")
        return
    whole = isinstance(default, int)
    expected = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise InvalidPolicy(f"{name}: expected {expected}, got {value!r:.100}")
    if not 0 < value < float("inf"):
        raise InvalidPolicy(f"{name}: expected {expected} above 0, got {value}")
