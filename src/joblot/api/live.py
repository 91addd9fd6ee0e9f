"""A job as it is watched: one snapshot, or a stream of them as server-sent events.

A message is one whole snapshot of one read. The gateway of `joblot serve` reads a watched job once
for all its viewers; under any other server a stream consists of one message and `event: poll`,
after which the viewer has to poll for snapshots.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from joblot.api.items import SSE
from joblot.api.jobs import JobIdInPath, to_read
from joblot.api.long_polling import Followed, attach, by_gateway
from joblot.api.openapi import also
from joblot.api.schemas.live import SnapshotOut
from joblot.ledger.read.snapshot import Key, snapshot

router = Router(tags=["jobs"])

RETRY_MS = 2_000  # how soon an EventSource reconnects by itself
POLL_SECONDS = 5  # how often a viewer polls that gets no stream
NOTHING_SEEN = Key(0, 0, 0)

_STREAM = {SSE: {"schema": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Message:
    """A snapshot as a server-sent event."""

    key: Key
    text: bytes
    is_final: bool  # the run has ended, and its report is complete

    @classmethod
    def read(cls, job_id: int) -> Message:
        """Read the job now. Raises NotFound, Unavailable."""
        found = snapshot(job_id)
        data = json.dumps(found, separators=(",", ":"))
        text = f"id: {found['key']}\ndata: {data}\n\n"
        return cls(Key.parse(found["key"]), text.encode(), found["is_final"])


@router.get("jobs/{job_id}/live", response=SnapshotOut, openapi_extra=also(**_STREAM))
def live(request: HttpRequest, job_id: JobIdInPath, last_event_id: str = "") -> Any:
    """A snapshot of the job; with `Accept: text/event-stream` one a second, as it changes."""
    to_read(request, job_id)
    if request.accepts(SSE) and not request.accepts("application/json"):
        return live_stream(request, job_id)
    return snapshot(job_id)


def live_stream(request: HttpRequest, job_id: int) -> HttpResponse:
    """The stream of a job that the caller may see, after what `last_event_id` says it has seen."""
    given = request.GET.get("last_event_id") or request.headers.get("Last-Event-ID", "")
    after = Key.parse(given) if given else NOTHING_SEEN
    text = f"retry: {RETRY_MS}\n\n".encode()
    if not by_gateway(request):
        text += Message.read(job_id).text + f"event: poll\ndata: {POLL_SECONDS}\n\n".encode()
    answer = HttpResponse(text, content_type=SSE)
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # nginx would keep messages back until its buffer is full
    attach(answer, Followed(job_id, after))
    return answer
