"""JSON to and from a server: results, and its answers and errors as joblot's types.

Unknown fields of an answer are ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from joblot import errors
from joblot.errors import JoblotError, NumberChanged, ServerFailed, TooLarge, Unavailable
from joblot.states import Receipt
from joblot.wire import Claim, ClaimedItem, GrantedLease, ItemReceipt, Reported, Result

TOO_LARGE_STATUS = 413
TRY_AGAIN_STATUSES = frozenset({408, 425, 429, 502, 503, 504})  # whatever the request carries
SHOWN_CHARS_MAX = 300
LEASE_SECONDS = 300.0  # if the answer does not say


def _tree(kind: type[JoblotError]) -> Iterator[type[JoblotError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _tree(one)


_BY_CODE = {kind.code: kind for kind in _tree(JoblotError) if kind.__module__ == errors.__name__}


def result_json(result: Result) -> dict[str, Any]:
    """A result as it is posted and kept."""
    shape: dict[str, Any] = {"item": result.item, "outcome": result.outcome.value}
    if result.succeeded:
        shape["output"] = result.output
    if result.metrics:
        shape["metrics"] = dict(result.metrics)
    if result.error is not None:
        shape["error"] = {"type": result.error.type, "message": result.error.message}
        if result.error.traceback:
            shape["error"]["traceback"] = result.error.traceback
    if result.retryable:
        shape["retryable"] = True
    return shape


def claim_of(answer: Any) -> Claim:
    """Raises Unavailable if this is not what a joblot server answers; so do the next three."""
    with _expected("leases"):
        return Claim(
            tuple(map(lease_of, answer["leases"])),
            str(answer.get("reason") or ""),
            float(answer.get("retry_after_seconds") or 0.0),
        )


def receipts_of(answer: Any, expected: int) -> Sequence[ItemReceipt]:
    with _expected(f"{expected} receipts"):
        receipts = [
            ItemReceipt(one["item"], Receipt(one["receipt"]), str(one.get("reason") or ""))
            for one in answer["receipts"]
        ]
        if len(receipts) != expected:
            raise ValueError(f"{len(receipts)} receipts")
        return receipts


def reported_of(answer: Any, expected: int) -> Reported:
    """Receipts that were read count, even if the claim beside them can't be read."""
    receipts = list(receipts_of(answer, expected))
    problem = answer.get("claim_problem")
    if isinstance(problem, dict):
        error = error_of(_whole(problem.get("status")), problem, None)
        return Reported(receipts, claim_error=error)
    if answer.get("claim") is None:
        return Reported(receipts)
    try:
        return Reported(receipts, claim_of(answer["claim"]))
    except Unavailable as error:
        return Reported(receipts, claim_error=error)


def deadline_of(answer: Any) -> str:
    with _expected("expires_at"):
        return str(answer["expires_at"])


def lease_of(given: Mapping[str, Any]) -> GrantedLease:
    return GrantedLease(
        token=str(given["token"]),
        job=int(given["job"]),
        run=int(given["run"]),
        stage=str(given["stage"]),
        pipeline=str(given["pipeline"]),
        expires_at=str(given["expires_at"]),
        config=given.get("config"),
        items=tuple(map(_item_of, given["items"])),
        lease_seconds=float(given.get("lease_seconds") or LEASE_SECONDS),
        traceparent=str(given.get("traceparent") or ""),
    )


def _item_of(given: Mapping[str, Any]) -> ClaimedItem:
    return ClaimedItem(
        id=int(given["id"]),
        key=str(given["key"]),
        payload=given.get("payload"),
        input=given.get("input"),
        attempt=int(given.get("attempt") or 1),
        null_payload=bool(given.get("null_payload")),
    )


@contextlib.contextmanager
def _expected(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(
            f"expected an answer with {what}, got something else ({type(error).__name__}: "
            f"{error}); is this a joblot server of this version?"
        ) from error


def error_of(
    status: int, problem: Mapping[str, Any] | None, retry_after_seconds: float | None
) -> JoblotError:
    """The error for a status other than 2xx; `problem` is joblot's problem document, if any.

    Only joblot itself can refuse: without its problem document (a proxy answered, or a process that
    is shutting down) the outcome is unknown, so the request must be repeated: Unavailable, or
    ServerFailed if the request's content may be the cause. A 413 is TooLarge, also from a proxy.
    """
    problem = problem or {}
    kind = _BY_CODE.get(str(problem.get("code")))
    detail = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    if kind is TooLarge or (status == TOO_LARGE_STATUS and kind is None):
        return TooLarge(detail[:SHOWN_CHARS_MAX], _whole(problem.get("limit")))
    if kind is None:
        unknown = Unavailable if status in TRY_AGAIN_STATUSES or status < 400 else ServerFailed
        return unknown(f"the server answered {status}", retry_after_seconds)
    if issubclass(kind, NumberChanged):
        return kind(detail, _whole(problem.get("expected")), _whole(problem.get("found")))
    if issubclass(kind, Unavailable):
        return kind(detail, _seconds_of(problem.get("retry_after_seconds"), retry_after_seconds))
    return kind(detail)


def _whole(given: Any) -> int:
    """0 if it is missing."""
    return int(given) if isinstance(given, int | float) else 0


def _seconds_of(given: Any, otherwise: float | None) -> float | None:
    return float(given) if isinstance(given, int | float) else otherwise
