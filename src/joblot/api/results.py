"""The results of a job: outputs, metrics and errors, page by page or as a stream."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from joblot.api.items import LINES, After, page_of_lines, wants_lines
from joblot.api.jobs import JobIdInPath, to_read
from joblot.api.openapi import also
from joblot.api.schemas.common import Name
from joblot.api.schemas.items import ErrorOut
from joblot.ledger.read.results import results_page

router = Router(tags=["items"])


class ResultOut(Schema):
    """`error` is that of the item, or of its output if that can't be read any more."""

    item: int
    key: str
    state: str
    output: Any
    metrics: dict[str, int]
    error: ErrorOut | None


class ResultsOut(Schema):
    """`next` is the `after` of the next page, null on the last one. Any page may be short."""

    results: list[ResultOut]
    next: int | None
    as_of: str


@router.get("jobs/{job_id}/results", response=ResultsOut, openapi_extra=also(**LINES))
def list_results(
    request: HttpRequest,
    job_id: JobIdInPath,
    *,
    state: str | None = None,
    stage: Name | None = None,
    after: After = -1,
) -> Any:
    """Outputs, metrics and errors by item; with `Accept: application/x-ndjson` all of them.

    Outputs are included however large they are, so a page may hold few results.
    """
    to_read(request, job_id)
    page = results_page(job_id, state=state, stage=stage, after=after)
    if wants_lines(request):
        return page_of_lines(request, page)
    return {"results": page, "next": page.next, "as_of": page.as_of}
