"""Where results go: the ledger, or for a dry run an overlay of it in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from joblot.errors import WrongStatus
from joblot.ledger.report.known import settle_known
from joblot.ledger.report.pending_result import PendingResult
from joblot.ledger.rows.items import OutcomeRow, items_by_key, outcomes_by_number


class Target:
    """The ledger's items and outcomes of one job."""

    def __init__(self, job_id: int, *, is_over: bool) -> None:
        self._job_id = job_id
        self.is_over = is_over

    def numbers(self, keys: Iterable[str]) -> dict[str, int]:
        return {one.key: one.number for one in items_by_key(self._job_id, keys)}

    def outcomes(self, stage: int, numbers: Iterable[int]) -> dict[int, OutcomeRow]:
        return outcomes_by_number(self._job_id, stage, numbers)

    def record(self, stage: int, new: Sequence[PendingResult]) -> set[int]:
        """The numbers of the items that were open; none if the job has ended meanwhile."""
        try:
            return settle_known(self._job_id, stage, new)
        except WrongStatus:
            self.is_over = True
            return set()


class DryTarget(Target):
    """The same, remembering what would be recorded. A job that does not exist has number 0."""

    def __init__(self, job_id: int | None, keys: Iterable[str], *, is_over: bool) -> None:
        super().__init__(job_id or 0, is_over=is_over)
        known = super().numbers(keys) if job_id is not None else {}
        new = (key for key in keys if key not in known)
        self._numbers = known | {key: number for number, key in enumerate(new, len(known))}
        self._recorded: dict[tuple[int, int], OutcomeRow] = {}
        self.added = len(self._numbers) - len(known)

    def numbers(self, keys: Iterable[str]) -> dict[str, int]:
        return {key: self._numbers[key] for key in keys}

    def outcomes(self, stage: int, numbers: Iterable[int]) -> dict[int, OutcomeRow]:
        asked = list(numbers)
        known = super().outcomes(stage, asked) if self._job_id else {}
        return known | {
            number: self._recorded[stage, number]
            for number in asked
            if (stage, number) in self._recorded
        }

    def record(self, stage: int, new: Sequence[PendingResult]) -> set[int]:
        for one in new:
            row = OutcomeRow(one.number, one.state, one.hash or None, None)
            self._recorded[stage, one.number] = row
        return {one.number for one in new}
