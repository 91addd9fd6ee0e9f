"""The demo's hook: a row is saved if and only if its item is counted."""

from __future__ import annotations

from collections.abc import Sequence

from joblot.demo.models import SavedDigit
from joblot.ledger.report.hooks import SettledResult, on_result

CLASSIFY, SAVE = "demo-classify", "demo-save"  # pipelines
STAGES = [{"name": "classify", "pipeline": CLASSIFY}, {"name": "save", "pipeline": SAVE}]


def register(*, lost_key: str | None = None) -> None:
    """Save the rows of the stage `save`. Omits `lost_key`'s row, which must fail the checks."""

    @on_result(SAVE)
    def save(results: Sequence[SettledResult]) -> None:
        SavedDigit.objects.bulk_create(
            SavedDigit(job_id=result.job_id, key=result.key, digit=result.output["digit"])
            for result in results
            if result.key != lost_key
        )
