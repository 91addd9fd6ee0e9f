"""What one posted entry says, and about which item."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from joblot.api.json_text import json_text, parse_json
from joblot.contrib.antenna.entries import Entry
from joblot.contrib.antenna.subjects import Subject
from joblot.errors import InvalidResult, NotReadable, TooLarge
from joblot.wire import Result, failure, success

NOT_KEPT = "InvalidResult"  # the error type of a result that can't be stored
NOT_WORKED = "WorkerError"  # the error type of a failure that the worker reports
WHOLE_BATCH = "Batch processing error"  # prefix of an error message about a whole batch

_SUBJECT = re.compile(rb'"reply_subject"\s*:\s*"([^"\\]{1,200})"')


@dataclass(slots=True)
class Judged:
    """`reply` is the received `reply_subject`. Without a `subject`, nothing can be reported.

    `with_others` is True for a failure of a whole batch.
    """

    reply: str
    subject: Subject | None = None
    result: Result | None = None
    with_others: bool = False
    status: str = "rejected"

    def as_json(self) -> dict[str, str]:
        return {
            "reply_subject": self.reply,
            "status": self.status,
            "task_id": str(self.subject.item) if self.subject else "",
        }

    @property
    def lease(self) -> str:
        return self.subject.lease if self.subject else ""


def judge(entry: Entry) -> Judged:
    """Never raises: an entry that can't be stored fails its own item only, with the reason."""
    if not entry.whole:
        kept = len(entry.text)
        return _unkept(entry, f"expected at most {kept} bytes, got {entry.size}")
    try:
        given = parse_json(entry.text)
    except (NotReadable, TooLarge) as error:
        return _unkept(entry, str(error))
    reply = given.get("reply_subject") if isinstance(given, dict) else None
    if not isinstance(reply, str) or (subject := Subject.of(reply)) is None:
        return Judged(reply if isinstance(reply, str) else "")
    return _judged(reply, subject, given.get("result"), entry.size)


def unkept(judged: Judged, reason: str) -> Judged:
    """The same item as failed, because its result can't be stored; retrying would not help."""
    assert judged.subject is not None
    judged.result = failure(judged.subject.item, NOT_KEPT, reason)
    return judged


def _judged(reply: str, subject: Subject, result: Any, size: int) -> Judged:
    judged = Judged(reply, subject)
    if not isinstance(result, dict):
        return unkept(judged, f"result: expected an object, got {type(result).__name__}")
    if result.get("error") is None:
        return _succeeded(judged, subject, result, size)
    message = str(result["error"])
    judged.with_others = message.startswith(WHOLE_BATCH)
    judged.result = failure(subject.item, NOT_WORKED, message, retryable=True)
    return judged


def _succeeded(judged: Judged, subject: Subject, result: dict[str, Any], size: int) -> Judged:
    try:
        text = json_text(result)
    except InvalidResult as error:
        return unkept(judged, str(error))
    judged.result = replace(success(subject.item, result, _metrics(result, size)), output_text=text)
    return judged


def _metrics(result: dict[str, Any], size: int) -> dict[str, int]:
    detections = result.get("detections")
    found = len(detections) if isinstance(detections, list) else 0
    return {"detections": found, "result_bytes": size}


def _unkept(entry: Entry, reason: str) -> Judged:
    """For an entry that can't be parsed: a failure of its item, if the subject can be found."""
    found = _SUBJECT.search(entry.text)
    reply = found[1].decode(errors="replace") if found else ""
    judged = Judged(reply, Subject.of(reply))
    return unkept(judged, reason) if judged.subject else judged
