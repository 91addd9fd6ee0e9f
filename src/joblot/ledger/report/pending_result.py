"""A result on its way to its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joblot.canonical import canonical, hash_of
from joblot.config import limits
from joblot.errors import InvalidResult
from joblot.given_results import parse_results
from joblot.ledger.rows import outputs
from joblot.states import ItemState, Receipt, ReportedOutcome
from joblot.wire import Error, ItemReceipt, Result, failure

Columns = dict[str, Any]

SUCCEEDED = ReportedOutcome.SUCCEEDED
NOTHING = "null"  # as JSON text
_NO_HASH = bytes(32)
_STATE_AND_HASH = f'"state":{ItemState.SUCCEEDED.value},"hash":"'


@dataclass(slots=True, eq=False)  # one per result, so it is made as cheaply as can be
class PendingResult:
    """A result, parsed and hashed, without a receipt yet.

    A `large` output goes to the storage; `output_ref` names its file once that is stored. `reason`
    is what its receipt will say, unless the receipt has a reason of its own.
    """

    result: Result
    canonical_output: str = ""
    hash: bytes = b""
    large: bool = False
    output_ref: str | None = None
    reason: str = ""

    @property
    def number(self) -> int:
        return self.result.item

    @property
    def succeeded(self) -> bool:
        return self.result.succeeded

    @property
    def state(self) -> ItemState:
        return ItemState.SUCCEEDED if self.result.succeeded else ItemState.FAILED

    @property
    def error(self) -> Error:
        return self.result.error or Error("Error", "the worker gave no cause")

    @property
    def is_simple(self) -> bool:
        """True if it may be settled without being judged."""
        result = self.result
        return not self.large and (result.outcome is SUCCEEDED or not result.retryable)

    def refused(self, cause: BaseException) -> PendingResult:
        """The failure that this success becomes because the hook refused it permanently."""
        failed = failure(self.number, cause)
        return PendingResult(failed, reason=f"the hook refused it: {cause}")

    def stored_as(self, output_ref: str | None) -> PendingResult:
        return replace(self, output_ref=output_ref)

    def columns(self) -> dict[str, Any]:
        """The columns of its row, except those of its lease; JSON as text."""
        good = self.result.succeeded
        inline = good and not self.large and self.result.output is not None
        return {
            "number": self.number,
            "state": self.state.value,
            "hash": self.hash if good else None,
            "output": self.canonical_output if inline else None,
            "output_ref": self.output_ref if good else None,
            "metrics": canonical(dict(self.result.metrics)) if self._metered else None,
            "error_type": None if good else self.error.type,
            "error_message": None if good else self.error.message,
            "error_cause": None if good else self.error.cause,
            "error_traceback": (None if good else self.error.traceback) or None,
        }

    def row(self) -> str:
        """The same as one JSON object; the output is not serialised once more."""
        result = self.result
        if result.outcome is SUCCEEDED and not (self.large or self.output_ref or result.metrics):
            output = "" if result.output is None else f',"output":{self.canonical_output}'
            return f'{{"number":{result.item},{_STATE_AND_HASH}{self.hash.hex()}"{output}}}'
        head = f'"number":{self.number},"state":{self.state.value}'
        if not self.result.succeeded:
            return f'{{{head},"error":{canonical(self._error_columns())}}}'
        parts = [head, f'"hash":"{self.hash.hex()}"']
        if self.output_ref is not None:
            parts.append(f'"output_ref":{canonical(self.output_ref)}')
        elif not self.large and self.result.output is not None:
            parts.append(f'"output":{self.canonical_output}')
        if self._metered:
            parts.append(f'"metrics":{canonical(dict(self.result.metrics))}')
        return f"{{{','.join(parts)}}}"

    def detail(self) -> str:
        """What it has besides an output, as JSON text: its metrics, or the columns of its error."""
        result = self.result
        if result.outcome is SUCCEEDED:
            return f'{{"metrics":{canonical(dict(result.metrics))}}}' if result.metrics else NOTHING
        return canonical({"state": ItemState.FAILED.value, **self._error_columns()})

    def _error_columns(self) -> dict[str, str]:
        error = self.error
        columns = {"type": error.type, "message": error.message, "cause": error.cause}
        return columns | ({"traceback": error.traceback} if error.traceback else {})

    @property
    def _metered(self) -> bool:
        return self.result.succeeded and bool(self.result.metrics)


def rows_of(pending: Iterable[PendingResult]) -> str:
    """Results as the JSON array that statements take."""
    return f"[{','.join(one.row() for one in pending)}]"


def columns_of(pending: Sequence[PendingResult]) -> Columns:
    """Simple results as parameters of the functions that settle: an array for each column.

    `outputs` and `details` are JSON arrays, as text, or None if no result has any.
    """
    outputs = [one.canonical_output or NOTHING for one in pending]
    details = [one.detail() for one in pending]
    return {
        "numbers": [one.result.item for one in pending],
        "hashes": b"".join([one.hash or _NO_HASH for one in pending]),
        "outputs": None if outputs.count(NOTHING) == len(outputs) else f"[{','.join(outputs)}]",
        "details": None if details.count(NOTHING) == len(details) else f"[{','.join(details)}]",
    }


def prepare(
    results: Sequence[Result | Mapping[str, Any]],
) -> list[PendingResult | ItemReceipt]:
    """Results parsed and hashed; for one that is bad in itself, the receipt that rejects it.

    Raises InvalidResult for too many.
    """
    if len(results) > limits().results_per_report_max:
        raise InvalidResult(
            f"expected at most {limits().results_per_report_max} results in one report, "
            f"got {len(results)}; split them"
        )
    return [_prepared(result) for result in parse_results(results)]


def _prepared(result: Result | ItemReceipt) -> PendingResult | ItemReceipt:
    if isinstance(result, ItemReceipt):
        return result
    if not result.succeeded:
        return PendingResult(result)
    try:
        text = result.output_text or canonical(result.output)
        encoded = text.encode()
        large = outputs.is_large(len(encoded))
    except InvalidResult as error:
        return ItemReceipt(result.item, Receipt.REJECTED, str(error))
    return PendingResult(result, text, hash_of(encoded), large)
