"""The limits of pipelines, which jobs of all projects share. Changes need the scope admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from joblot.api.request_shapes import Shape
from joblot.api.schemas.common import Name
from joblot.api.upkeep import of_all_projects
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.read.pipelines import pipelines

router = Router(tags=["pipelines"])


class PipelineIn(Shape):
    """What changes. In `policy`, null removes a limit."""

    pipeline: Name
    policy: dict[str, Any]
    reason: str = Field("", max_length=1_000)


class PipelinePolicyOut(Schema):
    in_flight_items_max: int | None
    rate_items_max: int | None
    rate_seconds: float


class PipelineOut(Schema):
    """`next_at`: until when its rate is exhausted."""

    pipeline: str
    policy: PipelinePolicyOut
    in_flight: int
    next_at: str | None
    changed_at: str
    changed_by: str
    reason: str


class PipelinesOut(Schema):
    pipelines: list[PipelineOut]


@router.get("pipelines", response=PipelinesOut)
def list_pipelines(request: HttpRequest) -> Any:
    """The pipelines that have a limit. Scope: admin, and all projects, as numbers are of all."""
    of_all_projects(request)
    return {"pipelines": pipelines()}


@router.patch("pipelines", response=PipelineOut)
def change_pipeline(request: HttpRequest, body: PipelineIn) -> Any:
    """Change the limits of a pipeline, over all of its jobs. Scope: admin, and all projects."""
    caller = of_all_projects(request)
    return edit_pipeline(body.pipeline, policy=body.policy, actor=caller.actor, reason=body.reason)
