"""Working for a message: claim one item, call the task with it, report the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, cast

from celery import Task
from celery.signals import worker_process_shutdown, worker_shutdown
from django.db import DatabaseError, connections, transaction

from joblot.config import limits
from joblot.contrib.celery import callbacks, hints
from joblot.errors import InvalidInput, JoblotError, Unavailable
from joblot.ledger.claim.after_report import report
from joblot.ledger.claim.availability import next_job
from joblot.ledger.claim.claim import claim
from joblot.ledger.db.transactions import alias
from joblot.ledger.lease import renew
from joblot.ledger.report.printed import keep_printed
from joblot.log_writing.printed import to_job_log
from joblot.log_writing.writer import writer
from joblot.states import Receipt
from joblot.wire import ClaimedItem, GrantedLease, ItemReceipt, Result, failure
from joblot.worker.backoff import backoff_seconds
from joblot.worker.client import Client
from joblot.worker.current import working_on
from joblot.worker.function import argument, each, whole
from joblot.worker.heartbeat import Heartbeat
from joblot.worker.held import Held
from joblot.worker.printed import Keep, Printed
from joblot.worker.retrying import Retrying
from joblot.worker.stream_tail import StreamTail

logger = logging.getLogger("joblot.celery")

REPORT_SECONDS_MAX = 600.0  # of trying; then the item is worked on again
CLAIM_AGAIN_SECONDS = 5.0  # after a claim that the database did not answer
NEVER = float("inf")  # a call's time limit is Celery's


class Asked(Retrying):
    """Which errors of a call are retried: the usual ones, and the one that `retry` raised."""

    again: BaseException | None = None

    def note(self, error: BaseException) -> None:
        """The call asks for another attempt by raising this."""
        object.__setattr__(self, "again", error)  # the base class is frozen

    def allows(self, error: BaseException) -> bool:
        return error is self.again or super().allows(error)


Call = Callable[..., Any]


def work_for(task: Task, call: Call) -> None:
    """Work on one item; where messages are run at once (eagerly), on all."""
    while _work_on_one(task, call) and task.request.is_eager:
        pass


def _work_on_one(task: Task, call: Call) -> bool:
    """False if no item was to be had."""
    lease = _claimed(task)
    if lease is None:
        return False
    if not task.request.is_eager:
        hints.follow(task)
    receipt = _reported(lease, _result(task, lease, call))
    if receipt.receipt is Receipt.REQUEUED:
        wait = next_job(lease.pipeline, job=lease.job).retry_after_seconds
        hints.send(task, countdown=wait)
    callbacks.submit_if_finished(task.app, lease)
    return True


def _claimed(task: Task) -> GrantedLease | None:
    try:
        answer = claim(hints.pipeline_of(task.name), 1, worker=str(task.request.hostname))
    except Unavailable as error:
        if task.request.is_eager:
            raise
        logger.warning("%s: claiming again later: %s", task.name, error)
        hints.follow(task, countdown=CLAIM_AGAIN_SECONDS)
        return None
    return answer.leases[0] if answer.leases else None


def _result(task: Task, lease: GrantedLease, call: Call) -> Result:
    """Call the task; its lease is renewed meanwhile."""
    known = (lease.config or {}).get("celery", {})
    args, kwargs = known.get("args", ()), known.get("kwargs", {})
    asked = Asked()

    def called(item: ClaimedItem) -> Any:
        given = () if known.get("immutable") else (argument(item),)
        return call(asked, *given, *args, **kwargs)

    work = each(called, whole, asked)
    put = _kept_at_once if task.request.is_eager else to_job_log(str(task.request.hostname))
    held = Held()
    beat = Heartbeat(cast(Client, _Renewing()), held, item_seconds_max=NEVER)
    beat.watch(held.take(lease))
    beat.start()
    try:
        with working_on(lease), StreamTail() as streams:
            ((result,),) = Printed(Keep.FAILED, put, streams).kept(work)(lease.items)
    finally:
        beat.stop()
    return result


def _kept_at_once(lease: GrantedLease, item: int, text: str) -> None:
    """Keep what an item has printed in the caller's transaction: a test's never commits, so the
    log's writer would not find the job.
    """
    try:
        with transaction.atomic(using=alias()):
            keep_printed(lease.token, [(item, text)])
    except (JoblotError, DatabaseError) as error:
        about = {"job": lease.job, "item": item}
        logger.warning("what an item printed was not kept: %s", error, extra=about)


def _write_what_was_printed(**_: Any) -> None:
    """Write it now, because a process of Celery ends without waiting for threads."""
    writer().flush(limits().log_flush_seconds)


worker_process_shutdown.connect(_write_what_was_printed)
worker_shutdown.connect(_write_what_was_printed)


class _Renewing:
    """As much of a worker's client as its heartbeat needs, in the heartbeat's own thread."""

    def renew(self, token: str) -> str:
        return renew(token)

    def close(self) -> None:
        connections.close_all()


def _reported(lease: GrantedLease, result: Result) -> ItemReceipt:
    """The receipt, once it is final. Raises Unavailable if there is none for too long."""
    began, tries = time.monotonic(), 0
    while True:
        again: Unavailable | None = None
        try:
            (receipt,) = report(lease.token, [result])
        except InvalidInput as error:
            if not result.succeeded:
                raise
            result = failure(result.item, error)
            continue
        except Unavailable as error:
            again = error
        else:
            if receipt.receipt is Receipt.REJECTED and result.succeeded:
                result = failure(result.item, "Rejected", receipt.reason)
                continue
            if receipt.receipt is not Receipt.DEFERRED:
                return receipt
        if time.monotonic() - began > REPORT_SECONDS_MAX:
            raise again or Unavailable(f"the result stays deferred: {receipt.reason}")
        seconds = backoff_seconds(tries, again)
        logger.warning("a result waits for %.1f s: %s", seconds, again or receipt.reason)
        time.sleep(seconds)
        tries += 1
