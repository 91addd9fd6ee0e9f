"""Write docs/reference/state-machine.md: `python docs/make_state_machine.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from joblot import states
from joblot.states import JobStatus, LeaseState, Report, Standing

PAGE = Path(__file__).parent / "reference/state-machine.md"

HEAD = """# The state machines

Generated from `src/joblot/states.py` by `python docs/make_state_machine.py`; a test checks that it
is up to date, and that the database's trigger enforces the same pairs.

## A job

"""

AFTER_CHART = """
Only two transitions leave a terminal status. An *amendment* improves the report of a run that has
ended, after a late success of an item that was lost or had failed in the last stage. It increases
the revision by one; the status may improve but never worsens. A *retry* begins the next run.

A *removal* (delete, prune) leads out of the chart. It begins in a terminal status, by
compare-and-set of the mark `deleted_at`, once every lease is closed through which an item could
still be settled. From then on the row does not change, except that `total` decreases with the
items; a trigger refuses any other change.

The verdict when a job finishes is `SUCCESS` if every item succeeded in the last stage, or there are
no items; `FAILURE` if the share of items that did not exceeds `failure_threshold` (0.5); otherwise
`COMPLETED_WITH_ERRORS`.

These sets decide what is allowed in which status. A status that is not listed is not allowed:

| set | statuses | used by |
|---|---|---|
"""

SETS = {
    "CLAIMABLE": "a claim, in the statement that grants the lease",
    "ACCEPTING": "readers that report whether results still count",
    "FINALIZABLE": "reconcile, before it finishes a job",
    "CANCELABLE": "cancel",
    "FILLABLE": "add items, seal",
    "AMENDABLE": "reconcile, before it amends a report",
    "RETRYABLE": "retry",
    "TERMINAL": "delete, prune, fold",
}

RECEIPTS_HEAD = """
## An item in a stage

An item is *open* until it is settled: `SUCCEEDED`, `FAILED` (reported, with its cause), `LOST`
(leases on it alone expired too often) or `SKIPPED` (an earlier stage did not succeed). It is
settled once per run.

## A lease

A lease is *live* until its deadline, which a renewal moves. After it has *expired*, its open items
are back in the queue; a success through it still counts. Once it is *closed*, its run is over, and
nothing counts any more.

## The receipts

The receipt of a result depends on the state of its lease, on how the item stands in the lease's
stage, and on what is reported. *Retryable* means a failure within the item's budget. Where the
table says `amended`, a stage before the last answers `late`. Two receipts are not in the table:
`deferred` (the adopter's hook or storage failed; post the result again) and `rejected` (the result
itself is invalid).

| lease | item | success | final failure | retryable failure |
|---|---|---|---|---|
"""


def chart() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {JobStatus.CREATED}"
    for (status, transition), targets in sorted(states.TRANSITIONS.items()):
        for target in sorted(targets):
            yield f"    {status} --> {target}: {transition.value}"
    for status in sorted(states.TERMINAL):
        yield f"    {status} --> [*]"
    yield "```"


def sets() -> Iterator[str]:
    for name, asked_by in SETS.items():
        members = ", ".join(f"`{status}`" for status in sorted(getattr(states, name)))
        yield f"| `{name}` | {members} | {asked_by} |"


def receipts() -> Iterator[str]:
    for lease in (LeaseState.LIVE, LeaseState.EXPIRED, LeaseState.CLOSED):
        for standing in Standing:
            cells = " | ".join(f"`{states.RECEIPTS[lease, standing, report]}`" for report in Report)
            yield f"| {lease.name.lower()} | {standing.value} | {cells} |"


def page() -> str:
    parts = (HEAD, "\n".join(chart()), "\n", AFTER_CHART, "\n".join(sets()), "\n")
    return "".join((*parts, RECEIPTS_HEAD, "\n".join(receipts()), "\n"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
