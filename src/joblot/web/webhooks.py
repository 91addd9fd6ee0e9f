"""The page of webhooks: where events go, and what was not delivered, which can be sent again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from joblot.errors import NotFound
from joblot.identity.caller import Caller, Scope
from joblot.models import WebhookDelivery
from joblot.sentences import Question
from joblot.web.page import caller_of, page
from joblot.web.said import done
from joblot.web.shell import render
from joblot.webhooks import delivery, subscriptions

DELIVERIES_SHOWN = 20  # of each webhook, the newest


@page
@require_safe
def webhooks(request: HttpRequest) -> HttpResponseBase:
    caller = _admin(request)
    found = [one for one in subscriptions.webhooks() if _sees(caller, one["project"])]
    for one in found:
        one["deliveries"] = delivery.deliveries(one["id"], limit=DELIVERIES_SHOWN)
    context = {"title": "Webhooks", "here": "webhooks", "webhooks": found}
    return render(request, "joblot/webhooks.html", context)


@page
@require_http_methods(["GET", "HEAD", "POST"])
def resend(request: HttpRequest, delivery_id: int) -> HttpResponseBase:
    row = _delivery(_admin(request), delivery_id)
    back = reverse("joblot_web:webhooks")
    if request.method == "POST":
        delivery.resend(delivery_id)
        return done(request, f"Delivery {delivery_id} is sent again.", back)
    asks = Question(
        f"Send delivery {delivery_id} again?",
        (
            f"{row.webhook.url} gets the event “{row.kind}” of job #{row.job_id} once more.",
            "It has the same message id, by which a receiver knows a repetition.",
        ),
        "Send again",
    )
    context = {
        "title": asks.title,
        "here": "webhooks",
        "back": back,
        "back_word": "Webhooks",
        "asks": asks,
        "no_reason": True,
    }
    return render(request, "joblot/act.html", context)


def _admin(request: HttpRequest) -> Caller:
    caller = caller_of(request)
    caller.require(Scope.ADMIN)
    return caller


def _delivery(caller: Caller, delivery_id: int) -> WebhookDelivery:
    """Raises NotFound, also for one of a project that the person does not see."""
    row = delivery.find_delivery(delivery_id)
    if not _sees(caller, row.webhook.project):
        raise NotFound(f"delivery {delivery_id} does not exist")
    return row


def _sees(caller: Caller, project: str | None) -> bool:
    return caller.projects is None if project is None else caller.sees(project)
