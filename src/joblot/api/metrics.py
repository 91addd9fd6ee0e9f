"""`/metrics`: the installation's figures, in the text format of Prometheus."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from joblot.api.auth import caller_of
from joblot.errors import NotAllowed
from joblot.figure import Figure, as_text
from joblot.identity.caller import Scope
from joblot.identity.workers import online
from joblot.ledger.figures import figures
from joblot.ledger.snapshot import one_snapshot
from joblot.webhooks.deliveries import waiting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """Gauges, read as they are at this moment. Raises NotAllowed, Unavailable."""
    caller = caller_of(request)
    caller.require(Scope.READ)
    if caller.projects is not None:
        raise NotAllowed("expected a token of all projects, for these figures are of all of them")
    return HttpResponse(as_text(all_gauges()), content_type=CONTENT_TYPE)


@one_snapshot()
def all_gauges() -> list[Figure]:
    """All of them, at one instant. Raises Unavailable."""
    seen = Figure("online_workers", online(), "Workers that were seen a moment ago.")
    return [*figures(), *waiting(), seen]
