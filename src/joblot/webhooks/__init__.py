"""Webhooks: signed events for other services, sent again until they are answered.

`subscribe` and what follows is for the sender. `verify` is for a receiver, which needs no Django;
`receives` is for one that uses Django.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.webhooks.delivery import deliveries, resend
    from joblot.webhooks.received import ReceivedWebhook, receives
    from joblot.webhooks.receiver import Message, verify
    from joblot.webhooks.sender import send_due, send_until
    from joblot.webhooks.subscriptions import end, subscribe, webhook, webhooks
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.webhooks.subscriptions": ["subscribe", "webhooks", "webhook", "end"],
            "joblot.webhooks.delivery": ["deliveries", "resend"],
            "joblot.webhooks.sender": ["send_until", "send_due"],
            "joblot.webhooks.receiver": ["verify", "Message"],
            "joblot.webhooks.received": ["receives", "ReceivedWebhook"],
        },
    )

__all__ = [
    "Message",
    "ReceivedWebhook",
    "deliveries",
    "end",
    "receives",
    "resend",
    "send_due",
    "send_until",
    "subscribe",
    "verify",
    "webhook",
    "webhooks",
]
