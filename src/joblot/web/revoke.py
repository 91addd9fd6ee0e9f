"""Revoking and restoring a worker: a page asks, with what it holds; a POST does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from joblot.errors import InvalidInput, NotFound
from joblot.identity.caller import Scope
from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
from joblot.ledger.read.workers import workers
from joblot.sentences import Question
from joblot.shown import counted, shown
from joblot.web.page import caller_of, page
from joblot.web.said import done
from joblot.web.shell import render

Json = dict[str, Any]


@page
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest) -> HttpResponseBase:
    """The worker with the `owner` and the `instance` of the request."""
    return _asked(request, _revoking, _revoke)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest) -> HttpResponseBase:
    """The same, undone."""
    return _asked(request, _restoring, _restore)


def _asked(
    request: HttpRequest, ask: Callable[[Json], Question], act: Callable[..., str]
) -> HttpResponseBase:
    """Ask, or do it and say what was done."""
    caller = caller_of(request)
    caller.require(Scope.ADMIN)
    given = request.POST if request.method == "POST" else request.GET
    owner, instance = _owner(given.get("owner", "")), given.get("instance", "")
    back = reverse("joblot_web:workers")
    if request.method == "POST":
        by = {"actor": caller.actor, "reason": given.get("reason", "")}
        return done(request, act(owner, instance, **by), back)
    asks = ask(_worker(owner, instance))
    context = {
        "title": asks.title,
        "here": "workers",
        "back": back,
        "back_word": "Workers",
        "asks": asks,
        "hidden": {"owner": owner, "instance": instance},
    }
    return render(request, "joblot/act.html", context)


def _revoke(owner: int, instance: str, **by: str) -> str:
    items = revoke_worker(owner, instance, **by)
    return f"Revoked {instance}: it gave back {counted(items, 'item')}."


def _restore(owner: int, instance: str, **by: str) -> str:
    restore_worker(owner, instance, **by)
    return f"Restored {instance}: it may claim and report again."


def _worker(owner: int, instance: str) -> Json:
    """Raises NotFound if no such worker was seen."""
    known = [one for one in workers(owner) if one["instance"] == instance]
    if not known:
        raise NotFound(f"worker {shown(instance, 60)} was never seen; see the list of workers")
    return known[0]


def _restoring(worker: Json) -> Question:
    return Question(
        f"Restore {worker['instance']}?",
        (
            "It may claim, renew and report again, from its next request on.",
            "The items that it gave back stay in the queue: it has to claim them like any worker.",
        ),
        "Restore the worker",
    )


def _revoking(worker: Json) -> Question:
    held, leases = counted(worker["items"], "item"), counted(worker["leases"], "lease")
    return Question(
        f"Revoke {worker['instance']}?",
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
