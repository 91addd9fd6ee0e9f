"""Write docs/reference/state-machine.md: `python docs/make_state_machine.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from joblot import states
from joblot.states import JobStatus, LeaseState, Report, Standing

PAGE = Path(__file__).parent / "reference/state-machine.md"

HEAD = """# The state machines

Made from `src/joblot/states.py` by `python docs/make_state_machine.py`; a test checks that it is
up to date, and that the database's trigger holds the same pairs.

## A job

"""

AFTER_CHART = """
A terminal status is left in two ways only. An *amendment* improves the report of a run that has
ended: a late success of an item that was lost or had failed in the last stage; the revision goes
up by one, and the status may get better, never worse. A *retry* begins the next run.

A *removal* (delete, prune) leads out of the chart. It begins in a terminal status, by
compare-and-set of the mark `deleted_at`, once every lease is closed. From then on the row does not
change, except for `total`, which goes down with the items; a trigger refuses anything else.

The verdict, when a job finishes: all items came through the last stage, or there are none:
`SUCCESS`; more than `failure_threshold` of them (0.5) did not: `FAILURE`; else
`COMPLETED_WITH_ERRORS`.

What is allowed where is asked of these sets, and each is a positive list:

| set | statuses | who asks |
|---|---|---|
"""

SETS = {
    "CLAIMABLE": "a claim, in the statement that grants the lease",
    "ACCEPTING": "readers that say whether results still count",
    "FINALIZABLE": "the look, before it finishes a job",
    "CANCELABLE": "cancel",
    "FILLABLE": "add items, seal",
    "AMENDABLE": "the look, before it amends",
    "RETRYABLE": "retry",
    "TERMINAL": "delete, prune, fold",
}

RECEIPTS_HEAD = """
## An item in a stage

*Open* until it is settled: `SUCCEEDED`, `FAILED` (reported, with its cause), `LOST` (its lease
alone expired too often) or `SKIPPED` (an earlier stage did not succeed). Settled once in a run.

## A lease

*Live* until its deadline, which a renewal moves. *Expired*: its open items went back to the
queue; a success through it still counts. *Closed*: the run is over for it, nothing counts.

## The receipts

What a result is answered: by the lease it comes through, by how the item stands in the lease's
stage, and by what is reported. *Retryable* means a failure within the item's budget. Where the
table says `amended`, an earlier stage than the last answers `late`. Two receipts are not in the
table: `deferred` (the adopter's hook or storage failed; post it again) and `rejected`
(the result itself is bad).

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
