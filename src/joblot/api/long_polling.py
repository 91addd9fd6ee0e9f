"""What the gateway of `joblot serve` and the views exchange about a client's request.

A view answers at once, so that any WSGI or ASGI server can run it. It attaches to its response what
could come next; the gateway reads that and calls the view again, so waiting costs no thread. The
gateway puts into the ASGI scope which call this is. Neither is a header, so a client can't forge it
and it never leaves this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.read.snapshot import Key

_SCOPE_KEY = "joblot.view_call"


@dataclass(frozen=True, slots=True)
class BlocksBefore:
    """The lines of the earlier blocks of a stream that a client sends, and the items they added."""

    lines: int = 0
    added: int = 0


@dataclass(frozen=True, slots=True)
class ViewCall:
    """One of the calls of a view that together answer a client's request.

    `blocks_before` is None unless the call is for a block of a stream.
    """

    is_first: bool = True
    blocks_before: BlocksBefore | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> ViewCall:
        """The call of this request. Without the gateway, a request is one call."""
        scope: dict[str, Any] = getattr(request, "scope", {})  # WSGI requests have none
        call: ViewCall = scope.get(_SCOPE_KEY, _ONLY_CALL)
        return call

    def in_scope(self, scope: dict[str, Any]) -> dict[str, Any]:
        return {**scope, _SCOPE_KEY: self}


_ONLY_CALL = ViewCall()


def by_gateway(request: HttpRequest) -> bool:
    """True if the gateway reads what is attached to the response to a request for a stream."""
    return _SCOPE_KEY in getattr(request, "scope", {})


@dataclass(frozen=True, slots=True)
class StreamPage:
    """The response is one page of a stream. The next is at the same path, with `next_query`.

    Without a query it is the last.
    """

    next_query: str | None
    pause_seconds: float = 0.0  # before the next is requested


@dataclass(frozen=True, slots=True)
class NoWork:
    """The view may be called again once there may be work of this kind."""

    wait_seconds: float
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Granted:
    """Leases that a disconnected client could not request again."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockAdded:
    """The lines of one block of a stream are in the job."""

    added: int


@dataclass(frozen=True, slots=True)
class Followed:
    """The response begins a stream of snapshots of a job, which all its viewers share.

    From time to time the view is called again: the stream ends unless it responds with this again.
    """

    job_id: int
    after: Key  # of the snapshot that the viewer already shows; only later ones are sent


FollowUp = StreamPage | NoWork | Granted | BlockAdded | Followed


def attach(response: HttpResponse, follow_up: FollowUp) -> None:
    """Attach what may follow `response`. Without the gateway, this changes nothing."""
    response.joblot_follow_up = follow_up  # type: ignore[attr-defined]


def follow_up_of(response: HttpResponseBase) -> FollowUp | None:
    """None also if a middleware responded in place of the view."""
    return getattr(response, "joblot_follow_up", None)


def query_of_next_page(request: HttpRequest, after: int) -> str:
    """The request's own query, with another `after`."""
    parameters = request.GET.copy()
    parameters["after"] = str(after)
    return parameters.urlencode()
