"""`/metrics`: gauges of the installation and counters of this server, as Prometheus reads them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from joblot.api.auth import caller_of
from joblot.api.counters import exposition
from joblot.errors import NotAllowed
from joblot.gauge import Gauge
from joblot.identity.caller import Scope
from joblot.ledger.db.transactions import one_snapshot
from joblot.ledger.read.gauges import gauges
from joblot.webhooks.delivery import waiting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """All gauges and counters. Raises NotAllowed, Unavailable."""
    caller = caller_of(request)
    caller.require(Scope.READ)
    if caller.projects is not None:
        raise NotAllowed("expected a token for all projects, since the gauges cover all of them")
    return HttpResponse(exposition(all_gauges()), content_type=CONTENT_TYPE)


@one_snapshot()
def all_gauges() -> list[Gauge]:
    """All of them, at one instant. Raises Unavailable."""
    return [*gauges(), *waiting()]
