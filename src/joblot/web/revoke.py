"""Revoking a worker: a page asks, with what it holds; a POST does it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from joblot.errors import InvalidInput, NotFound
from joblot.identity.caller import Scope
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.read.workers import workers
from joblot.shown import counted, shown
from joblot.web.page import caller_of, page
from joblot.web.questions import Question
from joblot.web.said import done
from joblot.web.shell import render


@page
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest) -> HttpResponseBase:
    """The worker with the `owner` and the `instance` of the request."""
    caller = caller_of(request)
    caller.require(Scope.ADMIN)
    given = request.POST if request.method == "POST" else request.GET
    owner, instance = _owner(given.get("owner", "")), given.get("instance", "")
    back = reverse("joblot_web:workers")
    if request.method == "POST":
        reason = given.get("reason", "")
        items = revoke_worker(owner, instance, actor=caller.actor, reason=reason)
        return done(request, f"Revoked {instance}: it gave back {counted(items, 'item')}.", back)
    asks = _question(owner, instance)
    context = {
        "title": asks.title,
        "here": "workers",
        "back": back,
        "back_word": "Workers",
        "asks": asks,
        "hidden": {"owner": owner, "instance": instance},
    }
    return render(request, "joblot/act.html", context)


def _question(owner: int, instance: str) -> Question:
    """Raises NotFound if no such worker was seen."""
    known = [one for one in workers(owner) if one["instance"] == instance]
    if not known:
        raise NotFound(f"worker {shown(instance, 60)} was never seen; see the list of workers")
    held, leases = counted(known[0]["items"], "item"), counted(known[0]["leases"], "lease")
    return Question(
        f"Revoke {instance}?",
        (
            f"It holds {held} in {leases}: they go back to the queue, at no cost to their tries.",
            "What it claims, renews or reports from now on is refused.",
            "Results that it has reported before stay.",
        ),
        "Revoke the worker",
        is_danger=True,
    )


def _owner(given: str) -> int:
    """Raises InvalidInput."""
    if given.isascii() and given.isdigit() and len(given) < 19:
        return int(given)
    raise InvalidInput(f"owner: expected the number of a token, got {shown(given, 40)}")
