"""A worker over HTTP in this process, assembled from its parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from joblot.worker.about import about, new_instance
from joblot.worker.backlog import they_wait
from joblot.worker.connection import is_own
from joblot.worker.ending import drain_on_signals, ended_when_stuck, leave_frozen
from joblot.worker.handlers import Handler, declared
from joblot.worker.http import HttpClient
from joblot.worker.kept_output import posting_output
from joblot.worker.loop import Worker
from joblot.worker.order import Order, url_of
from joblot.worker.output_tail import OutputTail
from joblot.worker.printed import Keep
from joblot.worker.pulse import Pulse
from joblot.worker.settings import ITEM_SECONDS_MAX, WorkerSettings
from joblot.worker.spool import Spool
from joblot.worker.token import Token

logger = logging.getLogger("joblot.worker")

WAIT_SECONDS = 5.0  # that a claim waits for work; an idle worker drains within this time
IDLE_SECONDS_MAX = 30.0  # however long the server asks to wait
DRAIN_SECONDS_MAX = 20.0  # what is not reported by then stays in the spool


def run(
    url: str | None = None,
    token: str | None = None,
    *,
    spool: str = "",
    item_seconds_max: float = ITEM_SECONDS_MAX,
    keep_output: str = Keep.FAILED.value,
) -> int:
    """Serve the functions declared with `@work` above, until SIGTERM or SIGINT.

    `url` and `token` default to JOBLOT_URL, and JOBLOT_TOKEN or the file JOBLOT_TOKEN_FILE; without
    a token, a local URL means a server of this user.
    `spool` is the folder where results are kept until their receipts. Returns how many have none
    yet, 0 unless the server was unavailable at the end. A call that makes no progress for
    `item_seconds_max` ends the process with exit code 75, or with 1 if it holds the GIL.
    What failed items write to `sys.stdout` and `sys.stderr` is also kept in the job's log; with
    `keep_output="all"` that of every item, with `"none"` of no item.

    Raises InvalidInput, Refused (an invalid token), Unavailable (no folder for the spool).
    """
    access = Token.of(token)
    order = Order(
        url_of(url),
        access.text,
        access.file,
        spool=spool,
        item_seconds_max=item_seconds_max,
        keep_output=keep_output,
    )
    return serve(order, declared(), drain_on_signals)


def serve(
    order: Order,
    handlers: Sequence[Handler],
    on_worker: Callable[[Worker], None],
    *,
    pulse: Pulse | None = None,
    output: OutputTail | None = None,
) -> int:
    """Work until `drain` is called on the worker that is passed to `on_worker`.

    A supervisor reads `output`. Without it, what passes through Python's streams is kept.
    """
    instance, spools = new_instance(), order.spools()
    settings = WorkerSettings(
        job=order.job,
        name=instance,
        claim_ahead=True,
        wait_seconds=WAIT_SECONDS,
        item_seconds_max=order.call_seconds_max,
        idle_seconds_max=IDLE_SECONDS_MAX,
        drain_seconds_max=DRAIN_SECONDS_MAX,
    )
    with (
        client_of(order, instance) as client,
        posting_output(client, handlers, order.keep_output, output) as kept,
    ):
        worker = Worker(
            client,
            kept,
            settings,
            spool=Spool.begin(spools, order.spool_bytes_max),
            spools=spools,
            on_frozen=leave_frozen,
            pulse=pulse,
        )
        on_worker(worker)
        with ended_when_stuck(order.call_seconds_max):
            left = worker.run()
    if left:
        logger.warning("%s in %s, for the next worker to report", they_wait(left), spools)
    return left


def client_of(order: Order, instance: str) -> HttpClient:
    """Over HTTP, or over NATS, which may have HTTP as its fallback."""
    own = bool(order.url) and is_own(order.url, Token(order.token))
    given: dict[str, Any] = {"token_file": order.token_file, "about": about(), "own": own}
    if not order.nats:
        return HttpClient(order.url, order.token, instance, **given)
    from joblot.worker.nats_client import NatsClient  # noqa: PLC0415 (an extra)

    return NatsClient(order.nats_address, order.url, order.token, instance, **given)
