"""A download of any size: page after page, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from joblot.api.long_polling import StreamPage, attach, query_of_next_page
from joblot.models import Job

# The text of the page behind a record, and the `after` of the next one, None on the last.
ReadPage = Callable[[int], tuple[str, int | None]]


class Pages(StreamingHttpResponse):
    """All pages, one after another. The gateway takes the first one, and asks for the next ones."""

    def __init__(self, first: bytes, following: Iterator[bytes], **how: Any) -> None:
        self._first = first

        def content() -> Iterator[bytes]:
            yield first
            yield from following

        super().__init__(content(), **how)

    def getvalue(self) -> bytes:
        return self._first


def heading(job: Job, as_of: str, given: Mapping[str, str]) -> dict[str, Any]:
    """The first record of a download: which job, run and revision, as of when, by which filter."""
    return {
        "job": job.pk,
        "name": job.name,
        "run": job.run,
        "revision": job.revision,
        "as_of": as_of,
        "filter": dict(given),
    }


def file_name(job: Job, what: str, at: datetime, kind: str) -> str:
    """`joblot-7-run2-rev1-failed-20261124T0012Z.csv`."""
    return f"joblot-{job.pk}-run{job.run}-rev{job.revision}-{what}-{at:%Y%m%dT%H%MZ}.{kind}"


def download(
    request: HttpRequest,
    first: str,
    after: int | None,
    read: ReadPage,
    *,
    content_type: str,
    name: str,
) -> HttpResponseBase:
    """The `first` page, and those that follow `after`, as a file with this name."""
    answer = Pages(first.encode(), _following(read, after), content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    following = None if after is None else query_of_next_page(request, after)
    attach(answer, StreamPage(following))  # type: ignore[arg-type]
    return answer


def _following(read: ReadPage, after: int | None) -> Iterator[bytes]:
    while after is not None:
        text, after = read(after)
        yield text.encode()
