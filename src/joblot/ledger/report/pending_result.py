"""A result on its way to its receipt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joblot import wire
from joblot.states import ItemState, Receipt, Report
from joblot.wire import Error, ItemReceipt, Result


@dataclass(slots=True)
class Posted:
    """A result, prepared; `receipt` is what it will be answered unless it is overtaken.

    A `large` output has an `output_ref` once its file is stored. `lacks_file`: it was judged to be
    kept, and left alone because it has none.
    """

    result: Result
    canonical_output: str
    hash: bytes
    large: bool = False
    output_ref: str | None = None
    receipt: Receipt | None = None
    reason: str = ""
    lacks_file: bool = False

    @property
    def number(self) -> int:
        return self.result.item

    @property
    def state(self) -> ItemState:
        return ItemState.SUCCEEDED if self.result.succeeded else ItemState.FAILED

    @property
    def error(self) -> Error:
        return self.result.error or Error("Error", "the worker gave no cause")

    def answer(self) -> ItemReceipt:
        if self.receipt is None:
            return ItemReceipt(self.number, Receipt.REJECTED, "unknown lease")
        return ItemReceipt(self.number, self.receipt, self.reason)

    def columns(self) -> dict[str, Any]:
        """What its outcome row says, but for the key."""
        good = self.result.succeeded
        return {
            "state": self.state.value,
            "hash": self.hash if good else None,
            "output": self.result.output if good and not self.large else None,
            "output_ref": self.output_ref if good else None,
            "metrics": dict(self.result.metrics) if good and self.result.metrics else None,
            "error_type": None if good else self.error.type,
            "error_message": None if good else self.error.message,
        }

    def row(self) -> str:
        """The same as JSON text, for a statement; the output is not serialised once more."""
        if not self.result.succeeded:
            return wire.canonical({"number": self.number} | self.columns())
        parts = [f'"number":{self.number},"state":{self.state.value},"hash":"{self.hash.hex()}"']
        if self.output_ref is not None:
            parts.append(f'"output_ref":{wire.canonical(self.output_ref)}')
        elif self.result.output is not None:
            parts.append(f'"output":{self.canonical_output}')
        if self.result.metrics:
            parts.append(f'"metrics":{wire.canonical(dict(self.result.metrics))}')
        return f"{{{','.join(parts)}}}"

    def report(self, failures: int, failures_max: int) -> Report:
        """What the receipt table is asked, for an item that has failed `failures` times."""
        if self.result.succeeded:
            return Report.SUCCESS
        within = self.result.retryable and failures + 1 < failures_max
        return Report.RETRYABLE_FAILURE if within else Report.FINAL_FAILURE


def rows_of(posted: Iterable[Posted]) -> str:
    """Results as the JSON array that the settling statements take."""
    return f"[{','.join(one.row() for one in posted)}]"
