"""Reporting results, and keeping each until its receipt.

One thread posts all waiting results at once, so slow items are reported one by one and quick ones
in large batches. After a costly post it waits briefly for more results, unless one is awaited (see
`Backlog.next_batch`). With a spool, another thread writes all waiting results to disk, and a
result is posted only once it is written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from joblot import wire
from joblot.errors import (
    InvalidInput,
    JoblotError,
    ServerFailed,
    TooLarge,
    Unavailable,
    WorkerRevoked,
)
from joblot.shown import counted_and
from joblot.states import Receipt
from joblot.wire import Claim, ItemReceipt, NextClaim, Result
from joblot.worker.backlog import Backlog, Kept, Wish, they_wait
from joblot.worker.client import Client, claim_in
from joblot.worker.deferred_log import DeferredLog
from joblot.worker.held import Held
from joblot.worker.keeper import keep_all
from joblot.worker.spool import Spool, record_of

logger = logging.getLogger("joblot.worker")

FAILED_ALONE_MAX = 10  # tries, over a minute or two; then the item fails
BARE = "Unreportable"  # a failure whose own cause can't be reported


class Reporter:
    """Posts results until each has its receipt.

    `refused` is the error with which joblot refused this worker, if it did; its results are kept.
    """

    def __init__(
        self,
        client: Client,
        held: Held,
        draining: threading.Event,
        *,
        spool: Spool | None = None,
    ) -> None:
        self._client = client
        self._held = held
        self._spool = spool
        self._draining = draining
        self._backlog = Backlog(draining, spool)
        self.refused: JoblotError | None = None
        self.counted = 0
        self._failed_in_a_row = 0  # results posted alone, since joblot last accepted any
        self._away: Unavailable | None = None  # the error of the last post
        self._brought: Claim | None = None  # the claim that came with the last post
        self._deferred = DeferredLog()
        self._threads = [threading.Thread(target=self._run, name="joblot-reporter", daemon=True)]
        if spool is not None:
            keeper = threading.Thread(
                target=keep_all, args=(self._backlog, spool), name="joblot-spool", daemon=True
            )
            self._threads.append(keeper)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def durable(self) -> bool:
        """Whether results outlive this process."""
        return self._spool is not None

    def put(self, token: str, results: Sequence[Result]) -> None:
        """Post these soon; blocks while too many are waiting, or the spool is full."""
        self._backlog.put([self._to_keep(token, result) for result in results])

    def adopt(self, spool: Spool) -> int:
        """Post the results that another worker left behind; returns how many."""
        adopted = 0
        for left in spool.left():
            if self._draining.is_set():
                break  # the rest stays where it is
            one = Kept(left.token, left.result, left.size, spool=spool, place=left.place)
            self._backlog.put([one])
            adopted += 1
        return adopted

    def flush(self) -> None:
        """Wait until each result has its receipt, except those that are to be posted later."""
        self._backlog.flush()

    def bring(self, asked: NextClaim) -> Claim | None:
        """Claim with the next report, and wait for the answer.

        None if no result is about to be posted, or it is unknown whether anything was granted: then
        claim with the same key.
        """
        wish = self._backlog.wish(asked)
        if wish is None:
            return None
        try:
            return wish.answer.result()
        except BaseException:  # a signal ends the wait, and nobody will compute what is granted
            wish.withdraw(self._give_back)
            raise

    def _give_back(self, claim: Claim) -> None:
        for lease in claim.leases:
            with suppress(JoblotError):
                self._client.release(lease.token)

    def owes(self) -> set[str]:
        """The leases of the waiting results."""
        return self._backlog.tokens()

    def end(self, seconds_max: float) -> int:
        """Post what is left, for at most `seconds_max`; returns how many have no receipt."""
        self._backlog.end(0.0 if self.refused else seconds_max)
        for thread in self._threads:
            thread.join()
        return len(self._backlog)

    def _to_keep(self, token: str, result: Result) -> Kept:
        record = record_of(token, result)
        if self._spool is None:
            return Kept(token, result, len(record))
        return Kept(token, result, len(record), record, ready=False)

    def _run(self) -> None:
        while (batch := self._backlog.next_batch()) is not None:
            self._away = None
            wish = self._backlog.take_wish()
            try:
                again = self._post(batch, wish)
            except Exception:
                logger.exception("%s to be reported", they_wait(len(batch)))
                again = [one.later() for one in batch]
            self._backlog.posted(batch, again, self._away)
            if wish is not None:
                wish.answered(self._brought)
            if self.refused and self._backlog.ending:
                break
        self._client.close()

    def _post(self, batch: list[Kept], wish: Wish | None = None) -> list[Kept]:
        """Post results of one lease, and claim if that is a wish; returns what to post again."""
        token, results = batch[0].token, [one.result for one in batch]
        self._brought = None
        try:
            if wish is None:
                receipts = self._client.report(token, results)
            else:
                reported = self._client.report_and_claim(token, results, wish.asked)
                receipts, self._brought = reported.receipts, claim_in(reported)
        except ServerFailed as error:
            return self._isolate(batch, error)
        except Unavailable as error:
            logger.warning("%s to be reported: %s", they_wait(len(self._backlog)), error)
            self._away = error
            return batch
        except InvalidInput as error:
            return self._split(batch, error)
        except JoblotError as error:
            return self._refused(batch, error)
        except Exception as error:  # of a ledger in this process
            logger.exception("reporting %d results failed", len(batch))
            return self._isolate(batch, ServerFailed(repr(error)))
        return self._judged(token, batch, receipts)

    def _isolate(self, batch: list[Kept], error: ServerFailed) -> list[Kept]:
        """One result may be the cause, so post halves: that one waits, and delays no other.

        If the server fails on a second result posted alone, and has accepted none in between, the
        server is the cause, and all results wait.
        """
        if len(batch) > 1:
            middle = len(batch) // 2
            again = self._post(batch[:middle])
            rest = batch[middle:]
            return again + (rest if self._away else self._post(rest))
        one = batch[0]
        one.failed_alone += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row > 1:
            self._away = error
        logger.warning("a result waits, posted alone: %s", error, extra=one.about)
        if one.failed_alone >= FAILED_ALONE_MAX:
            return self._give_up(one, error)
        return [one.later()]

    def _give_up(self, one: Kept, error: ServerFailed) -> list[Kept]:
        """Report the item as failed; if joblot accepts that, the result was the cause.

        Otherwise the result stays. A result that was given up is set aside in the spool, for manual
        inspection. A server that has just recovered must not receive the failure of a good result,
        so an empty report first checks that it answers, and the result is posted once more.
        """
        try:
            self._client.report(one.token, [])
        except Exception as silent:  # noqa: BLE001 (of a ledger in this process it may be any)
            logger.warning("a result waits: %s", silent, extra=one.about)
            return [one.later()]
        try:
            return self._judged(one.token, [one], self._client.report(one.token, [one.result]))
        except Exception as again:  # noqa: BLE001 (as above)
            if isinstance(again, JoblotError) and not isinstance(again, ServerFailed):
                logger.warning("a result waits: %s", again, extra=one.about)
                return [one.later()]
        cause = f"its result was not accepted in {one.failed_alone} tries: {error}"
        failed = one.instead(wire.failure(one.result.item, type(error).__name__, cause))
        try:
            receipts = self._client.report(one.token, [failed.result])
            if one.spool is not None and one.result.succeeded:
                one.spool.set_aside(record_of(one.token, one.result))
        except Exception as refused:  # noqa: BLE001 (whatever it is, the result is kept)
            logger.warning("a failure is refused too: %s", refused, extra=one.about)
            return [one.later()]
        return self._judged(one.token, [failed], receipts)

    def _refused(self, batch: list[Kept], error: JoblotError) -> list[Kept]:
        """Keep the results, to be posted by another worker.

        Those of a revoked worker, which may be an earlier one, are set aside in the spool: nobody
        posts them again. If it is this worker, its next claim is refused, and it ends.
        """
        if str(error) != str(self.refused):  # it is the same for each of the results that follow
            kept = counted_and(len(batch), "result", "is", "are")
            logger.warning("%s kept, because the report was refused: %s", kept, error)
        if not isinstance(error, WorkerRevoked):
            self.refused = error
            return [one.later() for one in batch]
        for one in batch:
            if one.spool is not None:
                one.spool.set_aside(record_of(one.token, one.result))
            self._forget(one)
        self._held.settle(batch[0].token, [one.result.item for one in batch])
        return []

    def _split(self, batch: list[Kept], error: InvalidInput) -> list[Kept]:
        """Post a refused batch in parts, down to the result that is refused; that one fails."""
        if len(batch) == 1:
            return self._failed(batch[0], error)
        logger.info("%d results are posted in parts: %s", len(batch), error)
        if isinstance(error, TooLarge):
            self._backlog.shrink(sum(one.size for one in batch))
            return batch
        middle = len(batch) // 2
        return self._post(batch[:middle]) + self._post(batch[middle:])

    def _failed(self, one: Kept, error: InvalidInput) -> list[Kept]:
        if not one.result.succeeded:
            logger.error("a failure can't be reported: %s", error, extra=one.about)
            bare = wire.failure(one.result.item, BARE, retryable=one.result.retryable)
            return [one.later() if one.result == bare else one.instead(bare)]
        logger.warning("a result was refused: %s", error, extra=one.about)
        cause = f"its result of {one.size} bytes was refused: {error}"
        return [one.instead(wire.failure(one.result.item, type(error).__name__, cause))]

    def _judged(self, token: str, batch: list[Kept], receipts: Sequence[ItemReceipt]) -> list[Kept]:
        self._failed_in_a_row = 0
        again: list[Kept] = []
        done: list[int] = []
        self._deferred.note(receipts)
        for one, receipt in zip(batch, receipts, strict=True):
            if receipt.receipt is Receipt.DEFERRED:
                again.append(one.later())
            elif receipt.receipt is Receipt.REJECTED and one.result.succeeded:
                # Retrying won't help: the item fails, with the reason as its cause.
                failed = wire.failure(one.result.item, "Rejected", receipt.reason)
                again.append(one.instead(failed))
            else:
                self._note(receipt)
                done.append(one.result.item)
                self._forget(one)
        self._held.settle(token, done)
        return again

    @staticmethod
    def _forget(one: Kept) -> None:
        if one.spool is not None and one.place is not None:
            one.spool.receipted(one.place)
            one.place = None

    def _note(self, receipt: ItemReceipt) -> None:
        if receipt.receipt is Receipt.COUNTED:
            self.counted += 1
        elif receipt.receipt is not Receipt.REQUEUED:
            about = {"item": receipt.item}
            logger.info("%s %s", receipt.receipt.value, receipt.reason, extra=about)
