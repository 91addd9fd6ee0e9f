"""The labels of a job's name, its priority and each setting of its policy.

The pages and the events use the same labels; the names of `Policy` are for programs.
"""

from __future__ import annotations

from typing import NamedTuple

OF_POLICY = "policy."  # before the name of a setting, where it stands beside `name` and `priority`


class Field(NamedTuple):
    """`unit` is "" for text; `help` is what the value means, and what an empty one does."""

    label: str
    unit: str
    help: str


FIELDS = {
    "name": Field("Name", "", "Shown in the list. It need not be unique."),
    "priority": Field(
        "Priority",
        "steps",
        "A job with a higher one is served first within its project. Negative ones are later.",
    ),
    "policy.failure_threshold": Field(
        "Share that may fail",
        "from 0 to 1",
        "If a larger share of the items does not succeed, the run ends as failed.",
    ),
    "policy.failures_max": Field(
        "Most failures of an item",
        "failures",
        "How often an item may fail in a stage; the last failure is final.",
    ),
    "policy.expiries_max": Field(
        "Most expired leases of an item",
        "leases",
        "How often a lease of an item alone may expire; after the last one the item is lost.",
    ),
    "policy.lease_seconds": Field(
        "Lease",
        "seconds",
        "How long a worker keeps items without a sign of life. Then others get them.",
    ),
    "policy.retry_backoff_seconds": Field(
        "Wait before a retry",
        "seconds",
        "After the first failure of an item. It doubles with each further failure.",
    ),
    "policy.retry_backoff_seconds_max": Field(
        "Longest wait before a retry", "seconds", "The wait does not grow beyond this."
    ),
    "policy.cancel_grace_seconds": Field(
        "Grace period of a cancel",
        "seconds",
        "How long results of items in flight still count after a cancel.",
    ),
    "policy.in_flight_items_max": Field(
        "Most items in flight",
        "items",
        "Further items wait. Empty: as many as there are workers for.",
    ),
    "policy.rate_items_max": Field(
        "Most items in a period",
        "items",
        "No more are given to workers within any such period, over all workers. Empty: no limit.",
    ),
    "policy.rate_seconds": Field("Period of that limit", "seconds", "60 for items per minute."),
    "policy.alert_failed_items": Field(
        "Alert after",
        "failed or lost items",
        "One more than this writes the event “failing”, once per run. Empty: no alert.",
    ),
    "policy.halt_failed_items": Field(
        "Halt after",
        "failed or lost items",
        "One more than this halts the job. A resume begins the count again. Empty: no halt.",
    ),
    "policy.halt_failed_share": Field(
        "Halt above a share of failures",
        "from 0 to 1",
        "If a larger share of what a stage has tried has failed, the job halts. Empty: no halt.",
    ),
    "policy.halt_tried_items_min": Field(
        "Before the share counts",
        "items",
        "So many items must have been tried in the stage.",
    ),
    "policy.halt_action": Field(
        "What a halt does", "", "“pause” lets the job be resumed, “cancel” ends its run."
    ),
}


def label_of(name: str) -> str:
    """The label of `name`, `priority` or `policy.SETTING`; of an unknown one, its name."""
    return FIELDS[name].label if name in FIELDS else name
