"""Webhooks: their subscriptions and deliveries. For administrators."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from joblot.api.jobs import caller_with
from joblot.api.request_shapes import Shape
from joblot.api.schemas.common import BIGINT_MAX, Name
from joblot.errors import NotFound
from joblot.identity.caller import Caller, Scope
from joblot.webhooks import delivery, subscriptions

router = Router(tags=["webhooks"])

IdInPath = Annotated[int, Path(ge=1, le=BIGINT_MAX)]
Kind = Literal["finished", "amended", "failing", "halted"]


class WebhookIn(Shape):
    """Without a project, it receives events of all projects, or of the token's only project."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    kinds: Annotated[list[Kind], Field(fail_fast=True)] = Field(
        default_factory=lambda: list(get_args(Kind)), min_length=1
    )
    project: Name | None = None


class WebhookOut(Schema):
    id: int
    url: str
    kinds: list[str]
    project: str | None
    created_at: str
    ended_at: str | None


class WebhookMade(WebhookOut):
    """`secret` is shown only once; the receiver needs it."""

    secret: str


class WebhooksOut(Schema):
    webhooks: list[WebhookOut]


class DeliveryOut(Schema):
    """`state` is pending, delivered or given_up; `status` and `error` are the last try's."""

    id: int
    webhook: int
    message_id: str
    event: int
    kind: str
    job: int
    state: str
    tries: int
    status: int | None
    error: str
    next_try_at: str | None
    delivered_at: str | None
    created_at: str


class DeliveriesOut(Schema):
    """`next` is the `before` of the next page, null on the last one."""

    deliveries: list[DeliveryOut]
    next: int | None


def _require_sight(caller: Caller, project: str | None, what: str) -> None:
    """Raises NotFound, as for one that does not exist."""
    if not _sees(caller, project):
        raise NotFound(f"{what} does not exist")


def _sees(caller: Caller, project: str | None) -> bool:
    return caller.projects is None if project is None else caller.sees(project)


@router.post("webhooks", response={201: WebhookMade})
def create_webhook(request: HttpRequest, body: WebhookIn) -> Any:
    """Send future events to a URL."""
    caller = caller_with(request, Scope.ADMIN)
    project = body.project if caller.projects is None else caller.project_for(body.project)
    secret, made = subscriptions.subscribe(body.url, body.kinds, project=project)
    return Status(201, made | {"secret": secret})


@router.get("webhooks", response=WebhooksOut)
def list_webhooks(request: HttpRequest) -> Any:
    """All webhooks, including ended ones, without their secrets."""
    caller = caller_with(request, Scope.ADMIN)
    return {"webhooks": [one for one in subscriptions.webhooks() if _sees(caller, one["project"])]}


@router.delete("webhooks/{webhook_id}", response=WebhookOut)
def end_webhook(request: HttpRequest, webhook_id: IdInPath) -> Any:
    """Send nothing more to it. Its deliveries are still listed."""
    _webhook_to(request, webhook_id)
    return subscriptions.end(webhook_id)


@router.get("webhooks/{webhook_id}/deliveries", response=DeliveriesOut)
def list_deliveries(
    request: HttpRequest,
    webhook_id: IdInPath,
    state: Literal["pending", "delivered", "given_up"] | None = None,
    before: Annotated[int | None, Query(ge=1, le=BIGINT_MAX)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Any:
    """Its deliveries, newest first."""
    _webhook_to(request, webhook_id)
    page = delivery.deliveries(webhook_id, state=state, before=before, limit=limit)
    return {"deliveries": page, "next": page[-1]["id"] if len(page) == limit else None}


@router.post("webhooks/deliveries/{delivery_id}/resend", response={202: DeliveryOut})
def resend_delivery(request: HttpRequest, delivery_id: IdInPath) -> Any:
    """Send a delivery once more, with the same message id."""
    caller = caller_with(request, Scope.ADMIN)
    known = delivery.find_delivery(delivery_id)
    _require_sight(caller, known.webhook.project, f"delivery {delivery_id}")
    return Status(202, delivery.resend(delivery_id))


def _webhook_to(request: HttpRequest, webhook_id: int) -> None:
    caller = caller_with(request, Scope.ADMIN)
    known = subscriptions.webhook(webhook_id)
    _require_sight(caller, known["project"], f"webhook {webhook_id}")
