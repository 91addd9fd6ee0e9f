"""Which job a claim would be served from. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from joblot.ledger import candidates, reasons
from joblot.ledger.candidates import Wanted
from joblot.ledger.snapshot import one_snapshot
from joblot.ledger.transactions import alias, repeated
from joblot.models import Stage
from joblot.wire import Claim


@dataclass(frozen=True, slots=True)
class NextJob:
    """The job and stage that a claim would be served from."""

    id: int
    name: str
    project: str
    stage: str
    pipeline: str


@dataclass(frozen=True, slots=True)
class Next:
    """What is next, or why there is nothing and when to ask again."""

    job: NextJob | None
    reason: str = ""
    retry_after_seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@repeated
@one_snapshot()
def next_job(
    pipelines: str | Iterable[str],
    *,
    job: int | None = None,
    projects: Collection[str] | None = None,
    owner: int | None = None,
    owner_items_max: int | None = None,
) -> Next:
    """The job that the next claim of this process would be served from, by the same order.

    Momentary: whoever claims first gets it. Without one, the answer says why, as a claim's does.
    Raises InvalidInput for a pipeline that is no name.
    """
    wanted = Wanted.of(pipelines, job, projects)
    if reasons.room(owner, owner_items_max) <= 0:
        return _nothing(reasons.at_limit())
    board = candidates.board(wanted)
    snapshot = board.read(wanted)
    best = next((one for one in snapshot.in_order(board.coming_turn()) if one.ready), None)
    if best is None:
        return _nothing(reasons.no_lease(wanted))
    job_id, position = best.stage
    stages = Stage.ledger.using(alias()).select_related("job")
    stage = stages.get(job_id=job_id, position=position)
    return Next(NextJob(job_id, stage.job.name, stage.job.project, stage.name, stage.pipeline))


def _nothing(empty: Claim) -> Next:
    return Next(None, empty.reason, empty.retry_after_seconds)
