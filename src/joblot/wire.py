"""The data exchanged with workers: what a worker claims, what it reports, and the receipts.

Shared by the ledger, the API and the worker, so it imports neither Django nor the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from joblot.canonical import canonical
from joblot.config import limits
from joblot.errors import JoblotError
from joblot.fingerprint import cause_of
from joblot.shown import shown
from joblot.states import Receipt, ReportedOutcome
from joblot.tracebacks import traceback_of, without_middle

METRIC_MAX = 2**43  # so that the sum over a million items still fits into 64 bits
ITEM_MAX = 2**31 - 1  # the largest number that an item may have
ERROR_TYPE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Error:
    """Why an item failed, truncated and cleaned so that every database can store it.

    A traceback that is too long loses its middle.
    """

    type: str
    message: str
    traceback: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", _text(self.type or "Error", ERROR_TYPE_CHARS_MAX))
        object.__setattr__(self, "message", _text(self.message, limits().error_chars_max))
        if self.traceback:
            object.__setattr__(self, "traceback", _traceback(self.traceback))

    @property
    def cause(self) -> str:
        """By which failures are grouped: equal if only details of type and message differ."""
        return cause_of(self.type, self.message)

    @classmethod
    def of(cls, error: BaseException) -> Error:
        """From an exception, of any class, with its traceback."""
        try:
            return cls(type(error).__name__, str(error), traceback_of(error))
        except Exception:  # noqa: BLE001 (a class may do anything when it is examined)
            return cls(type(error).__name__, "(its message cannot be shown)")


@dataclass(frozen=True, slots=True)
class CallProgress:
    """How far a worker is: with `item`, or with all that it works on; as a `share` of 1, in words.

    Bounded and cleaned, so that every database can store it. A share that is no number is left out.
    """

    share: float | None = None
    text: str = ""
    item: int | None = None

    def __post_init__(self) -> None:
        share = self.share
        if share is not None:
            share = None if share != share else min(1.0, max(0.0, float(share)))  # noqa: PLR0124 (NaN)
        object.__setattr__(self, "share", share)
        object.__setattr__(self, "text", _text(self.text, limits().progress_chars_max))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        return canonical(self.as_json())


@dataclass(frozen=True, slots=True)
class ClaimedItem:
    """One item of a lease. `id` is its number in the job; `attempt` counts from 1.

    A payload of None means that it has none, unless `null_payload`: then it was given, as null.
    """

    id: int
    key: str
    payload: Any
    input: Any
    attempt: int
    null_payload: bool = False


PRINTED = "printed"  # the source of lines that an item has printed


@dataclass(frozen=True, slots=True)
class GrantedLease:
    """The right to report on `items` until `expires_at` (ISO 8601), or longer if renewed.

    `lease_seconds` is how long a renewal lasts; workers use it because their clock is not the
    database's. `traceparent` is the W3C Trace Context of the job's submission, or "".
    """

    token: str
    job: int
    run: int
    stage: str
    pipeline: str
    expires_at: str
    config: Any
    items: tuple[ClaimedItem, ...]
    lease_seconds: float = 300.0
    traceparent: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self, dict_factory=_without_flag)


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: leases, or why there are none and when to ask again."""

    leases: tuple[GrantedLease, ...]
    reason: str = ""
    retry_after_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self, dict_factory=_without_flag)


def _without_flag(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Leaves out `null_payload` where it says nothing, which is nearly everywhere."""
    found = dict(fields)
    if found.get("null_payload") is False:
        del found["null_payload"]
    return found


@dataclass(frozen=True, slots=True)
class NextClaim:
    """The claim that a report makes for its worker; its fields are the arguments of `claim`."""

    pipelines: Sequence[str]
    limit: int = 16
    job: int | None = None
    projects: Collection[str] | None = None
    worker: str = ""
    owner: int | None = None
    owner_items_max: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker reports for one item.

    `output` is any JSON; `metrics` are integers, summed exactly over the stage when the result is
    counted; `retryable` matters only for a failure. `output_text` is for callers that already have
    the output as text: it is stored unchanged, and identifies a repeated result.
    """

    item: int
    outcome: ReportedOutcome
    output: Any = None
    metrics: Mapping[str, int] = field(default_factory=dict)
    error: Error | None = None
    retryable: bool = False
    output_text: str | None = field(default=None, repr=False)

    @property
    def succeeded(self) -> bool:
        return self.outcome is ReportedOutcome.SUCCEEDED


class ItemReceipt(NamedTuple):
    """The answer to one result."""

    item: int | None
    receipt: Receipt
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"item": self.item, "receipt": self.receipt.value, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Reported:
    """The answer to a report that claims the next lease: a receipt for each result, and the claim.

    If the claim was refused or failed, `claim` is None and `claim_error` says why; the receipts are
    as good as without it.
    """

    receipts: list[ItemReceipt]
    claim: Claim | None = None
    claim_error: JoblotError | None = None


def success(item: int, output: Any = None, metrics: Mapping[str, int] | None = None) -> Result:
    """Return the Result of an item that succeeded; `item` is its `id` from the claim."""
    return Result(item, ReportedOutcome.SUCCEEDED, output, metrics or {})


def failure(
    item: int,
    error: str | BaseException,
    message: str = "",
    *,
    traceback: str = "",
    retryable: bool = False,
) -> Result:
    """Return the Result of an item that failed.

    `error` is the exception, with its message and traceback, or the name of a type of error. If
    `retryable`, the item is tried again while its budget lasts.
    """
    if isinstance(error, BaseException):
        known = Error.of(error)
        known = Error(known.type, message or known.message, traceback or known.traceback)
    else:
        known = Error(error, message, traceback)
    return Result(item, ReportedOutcome.FAILED, error=known, retryable=retryable)


def _text(given: Any, longest: int) -> str:
    """Diagnostics are truncated and cleaned, not rejected: an odd message is still a cause."""
    # Slice first: the rest of the text is not used and may be large.
    text = given[: longest + 1] if isinstance(given, str) else shown(given, longest)
    clean = _clean(text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _traceback(given: Any) -> str:
    longest = limits().error_traceback_chars_max
    text = given if isinstance(given, str) else shown(given, longest)
    return _clean(without_middle(text, longest))


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def receipts_json(receipts: Sequence[ItemReceipt]) -> dict[str, Any]:
    return {"receipts": [receipt.as_json() for receipt in receipts]}
