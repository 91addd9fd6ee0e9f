"""How a view tells the server that its answer is one page of a stream, or may be waited for.

Views answer at once, so that any WSGI server can run them. `joblot serve` says with OUTER that it
can do more: go on asking for the next page while the client reads, or ask again when there may be
work. Waiting then costs no thread. The headers stay between the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self

from django.http import HttpRequest, HttpResponse

from joblot.ledger.candidates import Wanted

OUTER = "Joblot-Outer"  # on a request: whoever asks goes on asking
CONTINUE = "Joblot-Continue"  # on an answer: the query of the next page
WAIT = "Joblot-Wait"  # on an answer: what to wait for
GRANTED = "Joblot-Granted"  # on an answer: leases to be given back if nobody takes it
LINES = "Joblot-Lines-Before"  # on a request: this is a block of a stream, behind so many lines
LAST_EVENT = "Last-Event-ID"


@dataclass(frozen=True, slots=True)
class Continue:
    """The query to ask next with, and how long to wait before."""

    query: str
    pause_seconds: float

    def as_header(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, header: str) -> Self:
        return cls(**json.loads(header))


@dataclass(frozen=True, slots=True)
class Wait:
    """For how long work may be waited for, and which."""

    seconds: float
    wanted: Wanted

    def as_header(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, header: str) -> Self:
        given = json.loads(header)
        return cls(given["seconds"], Wanted.of(**given["wanted"]))


def has_outer(request: HttpRequest) -> bool:
    return OUTER in request.headers


def lines_before(request: HttpRequest) -> int:
    """How many lines of the same stream came in blocks before this one."""
    return int(request.headers.get(LINES, 0)) if has_outer(request) else 0


def go_on(request: HttpRequest, answer: HttpResponse, pause_seconds: float, **query: int) -> None:
    """Say that there is a next page, at the same path, with these parameters changed."""
    if has_outer(request):
        parameters = request.GET.copy()
        for name, value in query.items():
            parameters[name] = str(value)
        answer[CONTINUE] = Continue(parameters.urlencode(), pause_seconds).as_header()


def may_be_untaken(request: HttpRequest, answer: HttpResponse, tokens: Iterable[str]) -> None:
    """Name the leases that nobody could ask for again, should the client be gone."""
    if has_outer(request):
        answer[GRANTED] = " ".join(tokens)


def may_wait(request: HttpRequest, answer: HttpResponse, seconds: float, wanted: Wanted) -> None:
    if has_outer(request):
        answer[WAIT] = Wait(seconds, wanted).as_header()
