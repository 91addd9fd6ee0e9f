"""The parameters of a simulation: sizes, rates of faults, and the verbs used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from joblot.ledger.claim.after_report import report, report_and_claim
from joblot.ledger.claim.claim import claim, claim_as
from joblot.ledger.job import lifecycle
from joblot.ledger.job.prune import prune
from joblot.ledger.job.retry import retry
from joblot.ledger.lease import expire, release, renew
from joblot.ledger.maintain.delivery import deliver
from joblot.ledger.maintain.file_removal import remove_files
from joblot.ledger.maintain.fold import fold
from joblot.ledger.maintain.merge import merge_ranges
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.submit.submit import add_items, seal, submit
from joblot.testing.simulator import model
from joblot.wire import NextClaim, Reported

VERBS: Mapping[str, Callable[..., Any]] = {
    "submit": submit,
    "add_items": add_items,
    "seal": seal,
    "start": lifecycle.start,
    "pause": lifecycle.pause,
    "resume": lifecycle.resume,
    "cancel": lifecycle.cancel,
    "retry": retry,
    "delete": lifecycle.delete,
    "claim": claim,
    "report": report,
    "report_and_claim": report_and_claim,
    "renew": renew,
    "release": release,
    "expire": expire,
    "sweep": sweep,
    "deliver": deliver,
    "remove_files": remove_files,
    "fold": fold,
    "merge_ranges": merge_ranges,
    "edit_pipeline": edit_pipeline,
    "prune": lambda seconds=0: prune(timedelta(seconds=seconds)),
}

# Small chunks and batches, so that a few items need several of them; and nothing that depends on
# the speed of the machine.
SMALL: Mapping[str, Any] = {
    "add_chunk_items": 3,
    "range_items_min": 4,
    "reopen_chunk_items": 2,
    "close_leases_batch": 2,
    "merge_ranges_min": 1,
    "removal_rows_first": 2,
    "removal_rows_max": 2,
    "output_bytes_inline_max": 3,
    "output_unsettled_seconds": 2.0 * model.LEASE,
    "output_removal_seconds_max": 1.0,
    "output_removal_retry_seconds": 1.0,
}
REPEATABLE: Mapping[str, Any] = {
    "candidates_seconds": 86_400.0,
    "range_floor_seconds": 86_400.0,
    "range_floor_step_seconds": 86_400.0,
    "removal_seconds_aimed": 86_400.0,
    "removal_seconds_per_sweep": 86_400.0,
    "sweep_backoff_seconds": 1e-9,  # a history's clock stands still during a sweep
    "worker_seen_seconds": 86_400.0,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Sizes, and how often each fault occurs."""

    verbs: Mapping[str, Callable[..., Any]] = field(default_factory=lambda: VERBS)
    limits: Mapping[str, Any] = field(default_factory=lambda: {**SMALL, **REPEATABLE})
    hooked: bool = False
    items_max: int = 12  # per submission
    jobs_max: int = 5  # at once
    stages_max: int = 3
    claim_items_max: int = 5
    trouble_percent: int = 20  # of calls
    duplicates_percent: int = 20  # of reports, at least: lost receipts cause more
    jumps_percent: int = 10  # of the weather's steps: the clock runs hours ahead for a while
    failures: bool = True  # workers also report failures, and outputs that a hook rejects
    waits: tuple[int, ...] = (1, model.BACKOFF, model.LEASE + 1)  # seconds that pass in one step
    # workers, producers, operators, sweepers, the weather
    weights: tuple[int, int, int, int, int] = (62, 10, 10, 10, 8)
    patient: bool = False  # a worker that got no items waits until time has passed
    audit_steps: int = 40  # between two full audits

    @classmethod
    def small(cls, seed: int, verbs: Mapping[str, Callable[..., Any]] | None = None) -> Scene:
        """Little jobs, much trouble; every second seed has hooks.

        Whose `report` is given reports by nothing else.
        """
        given = dict(verbs or {})
        if "report" in given:
            given.setdefault("report_and_claim", _in_two_calls(given["report"]))
        chosen = {**VERBS, **given}
        return cls(verbs=chosen, hooked=Random(f"{seed} scene").random() < 0.5)

    @classmethod
    def large(cls, items: int) -> Scene:
        """One large job; a tenth is posted twice, and a hundredth of the calls dies."""
        return cls(
            limits=REPEATABLE,
            items_max=items,
            jobs_max=1,
            stages_max=1,
            claim_items_max=100,
            trouble_percent=4,  # some strike after the last statement, some only lose the answer
            duplicates_percent=10,
            jumps_percent=0,
            waits=(1,),
            weights=(90, 1, 0, 5, 4),
            patient=True,
            audit_steps=20_000,
        )


def _in_two_calls(report_: Callable[..., Any]) -> Callable[..., Any]:
    def report_and_claim(token: str, results: Any, asked: NextClaim) -> Reported:
        return Reported(list(report_(token, results)), claim_as(asked))

    return report_and_claim
