"""One act on all jobs that match a filter: asked about first, then done with the number seen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from joblot.api.jobs import author, caller_with
from joblot.api.request_shapes import Shape
from joblot.api.schemas.common import Whole
from joblot.api.schemas.jobs import ChangeIn, CountsQuery
from joblot.identity.caller import Scope
from joblot.ledger.job.bulk_by_filter import act_on_all, ask

router = Router(tags=["jobs"])

BulkAct = Literal["pause", "resume", "cancel", "retry"]
Number = Annotated[Whole, Field(ge=0, le=2**53)]


class QuestionOut(Schema):
    """What the act would do: `jobs` of those that match, with so many `items`, would be changed.

    `mark` names exactly the jobs that match now. `refusal` is empty if the act is possible.
    `type_number` is a number that a person should repeat first, or null.
    """

    title: str
    happens: list[str]
    verb: str
    refusal: str
    jobs: int
    items: int
    mark: str
    type_number: int | None


class FilterIn(Shape):
    """As the parameters of `GET jobs`."""

    status: str | None = None
    project: str | None = None
    pipeline: str | None = None
    owner: str | None = None
    q: str | None = None
    since: str | None = None
    until: str | None = None


class BulkIn(ChangeIn):
    """`expected` is the number of jobs that would be changed. `mark` and `items` are those of the
    question; without them, they are not compared. If one is another now, the answer is 409
    `number_changed`, and nothing is changed.
    """

    filter: FilterIn = Field(default_factory=FilterIn)
    expected: Number
    mark: Annotated[str, Field(max_length=64)] | None = None
    items: Number | None = None


class BulkOutcomeOut(Schema):
    """`fate` is done, left (as it was), failed or not reached; `text` says why."""

    id: int
    name: str
    fate: str
    text: str


class BulkOut(Schema):
    text: str
    outcomes: list[BulkOutcomeOut]


@router.get("jobs/bulk/{act}", response=QuestionOut)
def ask_about_jobs(
    request: HttpRequest, act: BulkAct, filters: Annotated[CountsQuery, Query()]
) -> Any:
    """What the act would change, of the jobs that match the filter; changes nothing."""
    caller = caller_with(request, Scope.SUBMIT)
    return ask(act, filters.given(), me=caller.names, projects=caller.projects)


@router.post("jobs/bulk/{act}", response=BulkOut)
def act_on_jobs(request: HttpRequest, act: BulkAct, body: BulkIn) -> Any:
    """Pause, resume, cancel or retry each job that matches and allows it, one after the other."""
    caller = caller_with(request, Scope.SUBMIT)
    return act_on_all(
        act,
        body.filter.dict(exclude_none=True),
        expected=body.expected,
        mark=body.mark,
        items=body.items,
        by=author(request, body),
        me=caller.names,
        projects=caller.projects,
    )
