"""For receivers that use Django: the effect of a message happens exactly once.

A message is delivered at least once. Its id becomes a row in the transaction of the effect: a
repeated message finds the row, and a simultaneous one waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.db import IntegrityError, models, router, transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from joblot.errors import NotAuthenticated, NotReadable
from joblot.webhooks.receiver import TOLERANCE_SECONDS, Message, verify

Effect = Callable[[Message], None]
View = Callable[[HttpRequest], HttpResponse]


class ReceivedWebhook(models.Model):
    """Subclass it in one of the receiver's apps, without a body: `class Received(…): pass`.

    Rows may be deleted once the sender has stopped retrying, after some days.
    """

    webhook_id = models.CharField(max_length=200, primary_key=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True


def receives(
    table: type[ReceivedWebhook],
    secret: Callable[[], str],
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Callable[[Effect], View]:
    """Decorator that turns a message handler into a view that runs it exactly once.

    The handler runs in a transaction on the database to which `table` is written; what it writes
    there is kept if and only if the message is. Responds with 204, also to a repeated message, and
    with 401 if verification fails. An error in the handler rolls back both, and the message is sent
    again.
    """

    def decorate(effect: Effect) -> View:
        @wraps(effect)
        def view(request: HttpRequest) -> HttpResponse:
            try:
                message = verify(secret(), request.headers, request.body, tolerance_seconds)
            except NotAuthenticated as error:
                return HttpResponse(str(error), status=401, content_type="text/plain")
            except NotReadable as error:
                return HttpResponse(str(error), status=400, content_type="text/plain")
            _once(table, message, effect)
            return HttpResponse(status=204)

        return csrf_exempt(require_POST(view))

    return decorate


def _once(table: type[ReceivedWebhook], message: Message, effect: Effect) -> None:
    database = router.db_for_write(table)
    with transaction.atomic(using=database):
        try:
            with transaction.atomic(using=database):
                table(webhook_id=message.id).save(using=database, force_insert=True)
        except IntegrityError:
            return
        effect(message)
