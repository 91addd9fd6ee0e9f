"""Everything joblot raises.

    JoblotError
    ├── InvalidInput            the input is invalid, whatever the state
    │   ├── InvalidItem         an item's key or payload
    │   ├── InvalidPolicy       a policy, or a setting
    │   ├── NotReadable         malformed JSON, or not in the declared encoding
    │   ├── InvalidResult       a worker's result
    │   ├── NotStorable         the database can't store one of the values
    │   └── TooLarge            more bytes, or more of something, than the limit
    ├── Refused                 valid input, but not allowed now
    │   ├── NotFound            no such job, lease or item
    │   ├── WrongStatus         the job's status doesn't allow it
    │   ├── NumberChanged       a change would concern more or fewer items than expected
    │   ├── KeyConflict         a key is already used for something different
    │   ├── LeaseEnded          the lease is no longer live
    │   ├── AtLimit             the caller has as many items in flight as it may have
    │   ├── NotAuthenticated    no token, or an unknown, revoked or expired one
    │   ├── NotAllowed          the token is valid, but does not allow this
    │   │   └── WorkerRevoked   an operator has revoked this worker
    │   ├── NotDurable          called inside a transaction
    │   └── LedgerOwned         a write to what only the ledger may write
    ├── Unavailable             try again later; the message says what is known to be done
    │   ├── NotMigrated         the tables are missing or out of date
    │   ├── ServerFailed        the server, or a proxy in front of it, failed
    │   └── TooManyRequests     the token exceeds its request rate
    ├── ItemFailed              raised for an item of `joblot.map` that has no output
    ├── PermanentError          raised by a hook or a worker's function: retrying can't help
    └── RetryableError          raised by a worker's function: retrying may help

Each class has a stable `code`. A message says what was expected, what was received, and what to do.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AtLimit",
    "InvalidInput",
    "InvalidItem",
    "InvalidPolicy",
    "InvalidResult",
    "ItemFailed",
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
    "NumberChanged",
    "PermanentError",
    "Refused",
    "RetryableError",
    "ServerFailed",
    "TooLarge",
    "TooManyRequests",
    "Unavailable",
    "WorkerRevoked",
    "WrongStatus",
]


class JoblotError(Exception):
    """The base class of all errors of joblot.

    If a submission fails in the middle, `job_id` is the job with the items added before, and
    `total` the number of items that it has, if known.
    """

    code: ClassVar[str] = "error"
    job_id: int | None = None
    total: int | None = None


class InvalidInput(JoblotError):
    """The input is invalid, whatever the state."""

    code = "invalid_input"


class InvalidItem(InvalidInput):
    """An item's key or payload is invalid."""

    code = "invalid_item"


class InvalidPolicy(InvalidInput):
    """A policy or setting has an unknown name or a value out of range."""

    code = "invalid_policy"


class InvalidResult(InvalidInput):
    """A result is malformed."""

    code = "invalid_result"


class NotStorable(InvalidInput):
    """The database can't store a value: a sum or text that is too large, or invalid."""

    code = "not_storable"


class NotReadable(InvalidInput):
    """The request's body is malformed JSON, or not in its declared encoding."""

    code = "not_readable"


class TooLarge(InvalidInput):
    """More than the limit; `limit` is the maximum, in the unit that the message names."""

    code = "too_large"

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class Refused(JoblotError):
    """The input is valid, but not allowed now."""

    code = "refused"


class NotFound(Refused):
    """No such job, lease or item."""

    code = "not_found"


class WrongStatus(Refused):
    """The job's status doesn't allow the request."""

    code = "wrong_status"


class NumberChanged(Refused):
    """The change would concern another number of items than `expected`; nothing was changed."""

    code = "number_changed"

    def __init__(self, message: str, expected: int | None = None, found: int | None = None) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class KeyConflict(Refused):
    """A key is already used for something different."""

    code = "key_conflict"


class LeaseEnded(Refused):
    """The lease is no longer live: its items went back to the queue, or its run is over."""

    code = "lease_ended"


class AtLimit(Refused):
    """The caller has as many items in flight as its cap permits, so it may not take this lease."""

    code = "at_limit"


class NotAuthenticated(Refused):
    """The request has no token, or an unknown, revoked or expired one."""

    code = "not_authenticated"


class NotAllowed(Refused):
    """The token is valid, but its scopes, projects or pipelines don't include this."""

    code = "not_allowed"


class WorkerRevoked(NotAllowed):
    """An operator has revoked this worker: its claims, renewals and reports are refused."""

    code = "worker_revoked"


class NotDurable(Refused):
    """A verb that must commit before it returns was called inside a transaction."""

    code = "not_durable"


class LedgerOwned(Refused):
    """A write to something that only the ledger may write."""

    code = "ledger_owned"


class Unavailable(JoblotError):
    """Try again later, after `retry_after_seconds` if that is known.

    The request may have been carried out fully, partly or not at all; the message says what is
    known.
    """

    code = "unavailable"

    def __init__(self, message: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotMigrated(Unavailable):
    """The tables are missing or out of date."""

    code = "not_migrated"


class ServerFailed(Unavailable):
    """The server failed to handle this request, or something in front of it refused it.

    The request's content may or may not be the cause.
    """

    code = "internal"


class TooManyRequests(Unavailable):
    """The token exceeds its request rate."""

    code = "too_many_requests"


class ItemFailed(JoblotError):
    """An item of `joblot.map` failed or was lost, so that it has no output.

    `job_id` is its job, `item` its number there, `key` its key.
    """

    code = "item_failed"
    item: int = -1
    key: str = ""


class PermanentError(JoblotError):
    """Raised by a hook or a worker's function: the item fails at once, with this as the cause."""

    code = "permanent"


class RetryableError(JoblotError):
    """Raised by a worker's function: the item is retried while its budget lasts."""

    code = "retryable"
