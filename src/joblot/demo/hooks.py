"""The demo's hook: what is saved exists if and only if the item is counted."""

from __future__ import annotations

from collections.abc import Sequence

from joblot.demo.models import SavedDigit
from joblot.ledger.hooks import SettledResult, on_result

CLASSIFY, SAVE = "demo-classify", "demo-save"  # pipelines
STAGES = [{"name": "classify", "pipeline": CLASSIFY}, {"name": "save", "pipeline": SAVE}]


def register(*, lost_key: str | None = None) -> None:
    """Save the rows of the stage `save`, but for `lost_key`, so that the checks must fail."""

    @on_result(SAVE)
    def save(results: Sequence[SettledResult]) -> None:
        SavedDigit.objects.bulk_create(
            SavedDigit(job_id=result.job_id, key=result.key, digit=result.output["digit"])
            for result in results
            if result.key != lost_key
        )
