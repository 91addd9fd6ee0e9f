"""Verify webhook messages in a receiver. Needs neither Django nor the rest of joblot.

For receivers that use Django, `joblot.webhooks.receives` makes the effect happen exactly once.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joblot.errors import NotAuthenticated, NotReadable
from joblot.webhooks.signature import ID, SIGNATURE, TIMESTAMP, sign

TOLERANCE_SECONDS = 300.0

_DIGITS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Message:
    """A verified message. `id` is the same for every delivery: use it to do the work once.

    `type` is "job.finished", "job.amended" or "job.failing"; `at` is when that happened (ISO
    8601); `data` is the job's report.
    """

    id: str
    type: str
    at: str
    data: Mapping[str, Any]


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Message:
    """Return the message if it was signed with `secret` within the last `tolerance_seconds`.

    `headers` are case-insensitive; `body` is the unchanged bytes. Raises NotAuthenticated for a
    missing, wrong or old signature (respond with 401), NotReadable for a signed body that isn't a
    message, InvalidInput for an invalid secret.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get(ID, ""), given.get(TIMESTAMP, "")
    if not message_id or not _DIGITS.fullmatch(timestamp):
        raise NotAuthenticated(f"expected the headers {ID}, {TIMESTAMP} (digits) and {SIGNATURE}")
    expected = sign(secret, message_id, int(timestamp), body).encode()
    # There may be several while a secret is being changed: one each for the old and the new.
    signatures = given.get(SIGNATURE, "").split()
    matches = [hmac.compare_digest(expected, one.encode()) for one in signatures]
    if not any(matches):
        raise NotAuthenticated(
            f"{SIGNATURE}: expected one by this secret over id, timestamp and unchanged body"
        )
    if abs(time.time() - int(timestamp)) > tolerance_seconds:
        raise NotAuthenticated(
            f"{TIMESTAMP}: expected at most {tolerance_seconds:g} s from now, got {timestamp}; "
            "the message is old or a clock is wrong"
        )
    return _message(message_id, body)


def _message(message_id: str, body: bytes) -> Message:
    try:
        given = json.loads(body)
        return Message(message_id, given["type"], given["timestamp"], given["data"])
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise NotReadable(f"body: expected type, timestamp and data as JSON; {error!r}") from None
