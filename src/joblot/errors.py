"""Everything joblot raises.

    JoblotError
    ├── InvalidInput            what was given can't be right, whatever the state
    │   ├── InvalidItem         an item's key or payload
    │   ├── InvalidPolicy       a policy, or a setting
    │   ├── NotReadable         not the JSON, or the encoding, that it says it is
    │   ├── InvalidResult       a worker's result
    │   ├── NotStorable         the database can't store one of the values
    │   └── TooLarge            more bytes, or more of something, than is taken at once
    ├── Refused                 right in itself, but not now
    │   ├── NotFound            no such job, lease or item
    │   ├── WrongStatus         the job's status doesn't allow it
    │   ├── KeyConflict         a key is taken by something different
    │   ├── LeaseEnded          the lease is no longer live
    │   ├── NotAuthenticated    no token, or none that is known and still good
    │   ├── NotAllowed          the token is good, but not for this
    │   ├── NotDurable          called inside somebody's transaction
    │   └── LedgerOwned         a write to what only the ledger writes
    ├── Unavailable             try again later; the message says what is known to be done
    │   ├── NotMigrated         the tables are missing or old
    │   ├── ServerFailed        an answer of no use: the server failed, or something before it
    │   └── TooManyRequests     this token asks more often than it may
    ├── PermanentError          raised by a hook or a worker's function: trying again is no use
    └── RetryableError          raised by a worker's function: trying again may help

Each class has a stable `code`. A message says what was expected, what came, and what to do.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "InvalidInput",
    "InvalidItem",
    "InvalidPolicy",
    "InvalidResult",
    "JoblotError",
    "KeyConflict",
    "LeaseEnded",
    "LedgerOwned",
    "NotAllowed",
    "NotAuthenticated",
    "NotDurable",
    "NotFound",
    "NotMigrated",
    "NotReadable",
    "NotStorable",
    "PermanentError",
    "Refused",
    "RetryableError",
    "ServerFailed",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
    "WrongStatus",
]


class JoblotError(Exception):
    """The root of the tree.

    Of a submission that fails in the middle, `job_id` names the job that has what came before, and
    `total` says how many items that job has, where it is known.
    """

    code: ClassVar[str] = "error"
    job_id: int | None = None
    total: int | None = None


class InvalidInput(JoblotError):
    """What was given can't be right, whatever the state."""

    code = "invalid_input"


class InvalidItem(InvalidInput):
    """An item's key or payload is not acceptable."""

    code = "invalid_item"


class InvalidPolicy(InvalidInput):
    """A policy or setting has an unknown name or a value out of its range."""

    code = "invalid_policy"


class InvalidResult(InvalidInput):
    """A result does not have the shape of one."""

    code = "invalid_result"


class NotStorable(InvalidInput):
    """The database can't store a value: a sum or text too large for it, or a wrong one."""

    code = "not_storable"


class NotReadable(InvalidInput):
    """What came is not the JSON, or not in the encoding, that it says it is."""

    code = "not_readable"


class TooLarge(InvalidInput):
    """More than is taken at once; `limit` says how much is, in the unit that the message names."""

    code = "too_large"

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class Refused(JoblotError):
    """Right in itself, but not now."""

    code = "refused"


class NotFound(Refused):
    """No such job, lease or item."""

    code = "not_found"


class WrongStatus(Refused):
    """The job's status doesn't allow what was asked."""

    code = "wrong_status"


class KeyConflict(Refused):
    """A key is taken by something different."""

    code = "key_conflict"


class LeaseEnded(Refused):
    """The lease is no longer live: its items went back to the queue, or its run is over."""

    code = "lease_ended"


class NotAuthenticated(Refused):
    """No token came with the request, or none that is known, not revoked and not expired."""

    code = "not_authenticated"


class NotAllowed(Refused):
    """The token is good, but not for this: its scopes, projects or pipelines don't include it."""

    code = "not_allowed"


class NotDurable(Refused):
    """A verb whose answer promises durability was called inside somebody's transaction."""

    code = "not_durable"


class LedgerOwned(Refused):
    """A write to what only the ledger writes."""

    code = "ledger_owned"


class Unavailable(JoblotError):
    """Try again later, after `retry_after_seconds` if that is known.

    What was asked may have been done, in part or not at all; the message says what is known.
    """

    code = "unavailable"

    def __init__(self, message: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotMigrated(Unavailable):
    """The tables are missing or of an older version."""

    code = "not_migrated"


class ServerFailed(Unavailable):
    """The server failed at this request, or something in front of it refused it.

    It may be what the request carries, or have nothing to do with it.
    """

    code = "internal"


class TooManyRequests(Unavailable):
    """This token asks more often than it may."""

    code = "too_many_requests"


class PermanentError(JoblotError):
    """Raised by a hook or a worker's function: the item fails at once, with this as its cause."""

    code = "permanent"


class RetryableError(JoblotError):
    """Raised by a worker's function: the item is tried again while its budget lasts."""

    code = "retryable"
