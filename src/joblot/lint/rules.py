"""The rules of `joblot lint`: stable codes, what each finds, why it loses updates, the fix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    code: str
    name: str
    why: str
    fix: str


NOT_PARSED = Rule(
    "JL000",
    "not-parsed",
    "A file that can't be parsed is not checked, so it may contain any of the other faults.",
    "Correct the syntax, or name the files to check.",
)
JSON_READ_MODIFY_WRITE = Rule(
    "JL101",
    "json-read-modify-write",
    "The whole JSON value is read, changed in Python and written back. Two processes that read the "
    "same value both write: the later write removes what the earlier one has added.",
    "Count in columns (F('done') + 1) or in rows of their own, and render the JSON from them; or "
    "read the row with select_for_update() in the transaction that saves it.",
)
UNGUARDED_STATUS = Rule(
    "JL102",
    "unguarded-status",
    "The status is written without a condition on what it is at that moment. A process that read "
    "an older status overwrites a newer one: a cancelled job runs again, a finished one reopens.",
    "Make it a conditional transition and check its row count: "
    "filter(pk=…, status__in=[…]).update(status=…).",
)
FULL_SAVE = Rule(
    "JL103",
    "save-without-update-fields",
    "save() writes every column as it was when the object was read, so it takes back what other "
    "processes have written to the status, the counters and the progress since.",
    "Name what you change: save(update_fields=[…]).",
)
NETWORK_UNDER_LOCK = Rule(
    "JL104",
    "network-under-lock",
    "The row stays locked for as long as the other side takes to answer, and everyone who wants it "
    "waits; a rollback does not undo what was sent.",
    "Commit first: transaction.on_commit(…), or make the call outside of the block.",
)
SIGNAL_FULL_SAVE = Rule(
    "JL105",
    "full-save-in-signal",
    "A receiver runs beside the code that changes the row, often in another process. Its save() "
    "writes every column as the receiver has read it.",
    "Use a conditional update(), or save(update_fields=[…]).",
)
COUNTER_READ_MODIFY_WRITE = Rule(
    "JL106",
    "counter-read-modify-write",
    "The counter is read, changed in Python and written back: of two processes that read the same "
    "number, one is not counted.",
    "Let the database add: update(done=F('done') + 1).",
)

RULES = {
    rule.code: rule
    for rule in (
        NOT_PARSED,
        JSON_READ_MODIFY_WRITE,
        UNGUARDED_STATUS,
        FULL_SAVE,
        NETWORK_UNDER_LOCK,
        SIGNAL_FULL_SAVE,
        COUNTER_READ_MODIFY_WRITE,
    )
}
