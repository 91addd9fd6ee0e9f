"""Webhooks: which URL receives which events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import router

from joblot import clock
from joblot.config import limits
from joblot.errors import InvalidInput, NotFound
from joblot.ledger.db.transactions import durable, repeated
from joblot.ledger.rows.names import checked_name
from joblot.models import Webhook
from joblot.webhooks.signature import new_secret

KINDS = ("finished", "amended", "failing", "halted")


@repeated
def subscribe(
    url: str, kinds: Iterable[str] = KINDS, *, project: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Send future events of these kinds to `url`, for one project's jobs or for all.

    `kinds`: some of finished, amended, failing, halted. Returns the secret, which the receiver
    needs and which is not shown again, and the webhook as in `webhooks`. Raises InvalidInput.
    """
    # It imports httpx, a tenth of a command's startup time; only posting needs it.
    from joblot.webhooks.post import checked_url  # noqa: PLC0415

    checked_url(url)
    if rows().filter(ended_at__isnull=True).count() >= limits().webhooks_max:
        raise InvalidInput(f"expected at most {limits().webhooks_max} webhooks; end some first")
    secret = new_secret()
    row = rows().create(
        url=url,
        secret=secret,
        kinds=_kinds(kinds),
        project=None if project is None else checked_name(project, "project"),
        created_at=clock.now(),
    )
    row.refresh_from_db()
    return secret, described(row)


@repeated
def webhooks() -> list[dict[str, Any]]:
    """All webhooks, oldest first, including ended ones, without their secrets."""
    return [described(row) for row in rows().order_by("pk")]


@repeated
def webhook(webhook_id: int) -> dict[str, Any]:
    """Return one webhook. Raises NotFound."""
    return described(find(webhook_id))


@repeated
def end(webhook_id: int) -> dict[str, Any]:
    """Send nothing more to it; pending deliveries are given up. Raises NotFound."""
    row = find(webhook_id)
    with durable():
        rows().filter(pk=row.pk, ended_at__isnull=True).update(ended_at=clock.now())
        row.deliveries.filter(next_try_at__isnull=False).update(next_try_at=None)
    return described(find(webhook_id))


def rows() -> Any:
    return Webhook.objects.using(database())


def database() -> str:
    return router.db_for_write(Webhook)


def find(webhook_id: int) -> Webhook:
    found: Webhook | None = rows().filter(pk=webhook_id).first()
    if found is None:
        raise NotFound(f"webhook {webhook_id} does not exist; `joblot webhook list` lists them")
    return found


def _kinds(given: Iterable[str]) -> list[str]:
    kinds = set(given)
    if not kinds or not kinds <= set(KINDS):
        raise InvalidInput(
            f"kinds: expected some of {', '.join(KINDS)}, got {', '.join(sorted(kinds)) or 'none'}"
        )
    return [kind for kind in KINDS if kind in kinds]


def described(row: Webhook) -> dict[str, Any]:
    return {
        "id": row.pk,
        "url": row.url,
        "kinds": row.kinds,
        "project": row.project,
        "created_at": row.created_at.isoformat(),
        "ended_at": row.ended_at and row.ended_at.isoformat(),
    }
