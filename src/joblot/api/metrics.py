"""`/metrics`: the installation's figures, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.http import HttpRequest, HttpResponse

from joblot.api.auth import caller_of
from joblot.errors import NotAllowed
from joblot.identity.caller import Scope
from joblot.identity.workers import online
from joblot.ledger.figures import Figure, figures
from joblot.webhooks.deliveries import waiting

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: HttpRequest) -> HttpResponse:
    """Gauges, read as they are at this moment. Raises NotAllowed, Unavailable."""
    caller = caller_of(request)
    caller.require(Scope.READ)
    if caller.projects is not None:
        raise NotAllowed("expected a token of all projects, for these figures are of all of them")
    seen = Figure("online_workers", online(), "Workers that were seen a moment ago.")
    text = "".join(_lines([*figures(), *waiting(), seen]))
    return HttpResponse(text, content_type=CONTENT_TYPE)


def _lines(found: Iterable[Figure]) -> Iterator[str]:
    """Figures of one name stand together, below what the name means."""
    told = ""
    for one in found:
        name = f"joblot_{one.name}"
        if name != told:
            yield f"# HELP {name} {one.means}\n# TYPE {name} gauge\n"
            told = name
        labels = ",".join(f'{label}="{value}"' for label, value in one.labels.items())
        yield f"{name}{f'{{{labels}}}' if labels else ''} {one.value:g}\n"
