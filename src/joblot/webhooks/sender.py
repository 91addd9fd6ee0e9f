"""The sender: posts due deliveries, never inside a transaction.

Any number of senders may run, in any number of processes. If one dies, its current delivery is sent
again, with the same id: delivery is at least once.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from joblot import faults
from joblot.config import limits
from joblot.errors import JoblotError, Unavailable
from joblot.ledger.db.transactions import connection, require_durable
from joblot.models import WebhookDelivery
from joblot.webhooks.delivery import claim_next, record, waiting_receivers
from joblot.webhooks.post import GONE, Answer, post
from joblot.webhooks.signature import ID, SIGNATURE, TIMESTAMP, sign
from joblot.webhooks.subscriptions import end

logger = logging.getLogger("joblot.webhooks")


def send_due() -> int:
    """Send what is due now, one receiver at a time; returns how many were delivered.

    For programs with their own loop. Raises NotDurable inside a transaction, Unavailable.
    """
    require_durable(connection())
    return sum(_send_to(webhook_id, threading.Event()) for webhook_id in waiting_receivers())


def send_until(stop: threading.Event) -> None:
    """Send what is due until `stop` is set, to several receivers in parallel.

    A slow or dead receiver delays no other. A database failure is logged and retried. Run it beside
    `sweep_until`, in a thread.
    """
    most = limits().webhook_receivers_max
    with ThreadPoolExecutor(most, thread_name_prefix="joblot-webhook") as pool:
        busy: dict[int, Future[None]] = {}
        while not stop.is_set():
            busy = {webhook_id: sent for webhook_id, sent in busy.items() if not sent.done()}
            for webhook_id in _waiting(busy)[: most - len(busy)]:
                busy[webhook_id] = pool.submit(_serve, webhook_id, stop)
            stop.wait(limits().webhook_poll_seconds)
    connection().close()


def _waiting(busy: dict[int, Future[None]]) -> list[int]:
    try:
        return waiting_receivers(except_for=busy)
    except Unavailable as error:
        logger.warning("webhooks: %s", error)
    except JoblotError:
        logger.exception("webhooks: looking for due deliveries failed, retrying")
    return []


def _serve(webhook_id: int, stop: threading.Event) -> None:
    try:
        _send_to(webhook_id, stop)
    except Unavailable as error:
        logger.warning("webhook %s: %s", webhook_id, error)
    except Exception:
        logger.exception("webhook %s: sending failed, retrying", webhook_id)
    finally:
        connection().close()


def _send_to(webhook_id: int, stop: threading.Event) -> int:
    """Send a batch of a webhook's due deliveries, until a try fails; returns how many succeeded."""
    for delivered in range(limits().webhook_deliveries_batch):
        if stop.is_set() or (row := claim_next(webhook_id)) is None:
            return delivered
        answer = _try(row)
        faults.point("webhook: answered, not recorded")
        record(row, answer)
        if not answer.good:
            _log_failure(row, answer)
            return delivered
    return limits().webhook_deliveries_batch


def _try(row: WebhookDelivery) -> Answer:
    body = row.body.encode()
    timestamp = int(row.claimed_at.timestamp())  # type: ignore[attr-defined]  # annotated
    headers = {
        ID: row.message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(row.webhook.secret, row.message_id, timestamp, body),
    }
    return post(row.webhook.url, headers, body)


def _log_failure(row: WebhookDelivery, answer: Answer) -> None:
    logger.warning(
        "webhook %s: delivery %s, try %s: %s %s",
        row.webhook_id,
        row.pk,
        row.tries,
        answer.status or "no answer",
        answer.error,
    )
    if answer.status == GONE:
        end(row.webhook_id)
        logger.warning("webhook %s: ended, since its receiver answered 410 Gone", row.webhook_id)
