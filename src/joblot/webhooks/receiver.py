"""For the receiver of webhooks: is a message genuine? Needs no Django, and no joblot elsewhere.

`joblot.webhooks.received` adds, for a receiver that uses Django, that its effect happens once.
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
    """A genuine message. `id` is the same whenever it is sent: do its work once by it.

    `type` is "job.finished", "job.amended" or "job.failing"; `at` is when that happened, in ISO
    8601; `data` is the job's report.
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
    """The message, if it was signed with `secret` no longer than `tolerance_seconds` ago.

    `headers` in any case, `body` as it came, byte by byte. Raises NotAuthenticated for what isn't
    signed so (answer 401), NotReadable for a genuine body that isn't a message, InvalidInput for a
    secret that isn't one.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get(ID, ""), given.get(TIMESTAMP, "")
    if not message_id or not _DIGITS.fullmatch(timestamp):
        raise NotAuthenticated(f"expected the headers {ID}, {TIMESTAMP} (digits) and {SIGNATURE}")
    expected = sign(secret, message_id, int(timestamp), body).encode()
    # There may be several: of a secret before and one after it was changed.
    signatures = given.get(SIGNATURE, "").split()
    matches = [hmac.compare_digest(expected, one.encode()) for one in signatures]
    if not any(matches):
        raise NotAuthenticated(
            f"{SIGNATURE}: expected one of this secret's over id, timestamp and unchanged body"
        )
    if abs(time.time() - int(timestamp)) > tolerance_seconds:
        raise NotAuthenticated(
            f"{TIMESTAMP}: expected at most {tolerance_seconds:g} s from now, got {timestamp}; "
            "it is an old message, or a clock is wrong"
        )
    return _message(message_id, body)


def _message(message_id: str, body: bytes) -> Message:
    try:
        told = json.loads(body)
        return Message(message_id, told["type"], told["timestamp"], told["data"])
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise NotReadable(f"body: expected type, timestamp and data as JSON; {error!r}") from None
