"""Publishes the grants of a pipeline: leased in the ledger, and renewed until they are taken.

Each grant is a claim, so the ledger decides each time whether its job may be worked on. A grant
that can't be published, or was lost, is withdrawn: its items are leased again, at no cost to them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from joblot import grants
from joblot.dispatch.broker import CHECK_SECONDS, FAILURES, Broker, canceled
from joblot.dispatch.window import Grant, Window
from joblot.errors import JoblotError
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.claim.take import all_offered, still_offered, withdraw
from joblot.ledger.lease import renew_many
from joblot.wire import Claim, GrantedLease, NextClaim

logger = logging.getLogger("joblot.dispatch")

CLAIMS_AT_ONCE = 4
POLL_SECONDS = 2.0  # between two claims that find nothing, without a notification
ACK_SECONDS_MAX = 5.0  # for NATS to acknowledge a message
DOWN_SECONDS_MAX = 3.0  # of NATS, before all outstanding grants are withdrawn
CHECKED_MAX = 8  # grants whose message is looked up in the stream at once
CHECK_AGE_SECONDS_MIN = 2.0  # of a grant whose message is looked up

T = TypeVar("T")


class Call(Protocol):
    """Runs a verb of the ledger in a thread."""

    def __call__(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class DispatcherSettings:
    """The `items` of a grant at most, and the `window` of outstanding grants of a pipeline.

    After `age_seconds` an outstanding grant is withdrawn and its items are leased again, whatever
    became of its message: its consumer may never redeliver it.
    """

    name: str
    items: int = 64
    window: int = 64
    age_seconds: float = 120.0


class Publisher:
    """Publishes the grants of `pipeline`."""

    def __init__(
        self, pipeline: str, broker: Broker, call: Call, settings: DispatcherSettings
    ) -> None:
        self.pipeline = pipeline
        self._subject = grants.subject_of(pipeline)
        self._broker = broker
        self._call = call
        self._settings = settings
        self._items = settings.items
        self._window = Window(settings.window)
        self._generation = 0  # of the stream to which the window was published
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._has_ended = False
        self._claiming: set[asyncio.Future[Claim]] = set()  # the claims in progress
        self._has_unknown = False  # leases may have been granted that are not in the window
        self._resumes_at = 0.0  # after NATS has refused a message
        self.items_published = 0  # and acknowledged

    def __len__(self) -> int:
        return len(self._window)

    def note_work(self) -> None:
        """There may be work in the ledger."""
        self._work.set()

    def remove(self, token: UUID) -> None:
        """The lease is no longer outstanding: a worker has taken it, or it has ended."""
        if self._window.remove(token):
            self._room.set()

    async def run(self) -> None:
        """Until `end` and a cancellation; then the outstanding grants are withdrawn."""
        publishing = asyncio.create_task(self._repeat(self._fill_window))
        try:
            await self._repeat(self._check_window)
        finally:
            self.end()
            await canceled(publishing)
            await asyncio.shield(self._withdraw_all())

    def end(self) -> None:
        """The next cancellation is the last step, even if a library swallows it."""
        self._has_ended = True

    async def _repeat(self, step: Callable[[], Awaitable[float]]) -> None:
        while not self._has_ended:
            try:
                seconds = await step()
            except JoblotError as error:
                logger.warning("%s: %s", self.pipeline, error)
                seconds = POLL_SECONDS
            except FAILURES as error:
                logger.info("%s: NATS: %s", self.pipeline, error)
                seconds = CHECK_SECONDS
            await asyncio.sleep(seconds)

    async def _fill_window(self) -> float:
        """Publish as many grants as there is room for; returns the seconds until the next call."""
        waits = time.monotonic() < self._resumes_at
        if waits or not self._broker.is_up or self._window.room <= 0:
            self._room.clear()
            await _wait_for(self._room, CHECK_SECONDS)
            return 0.0
        if self._has_unknown:
            await self._withdraw_unknown()
        self._work.clear()
        self._has_unknown = True
        first = await self._claim()
        if not first.leases:
            self._has_unknown = False
            await _wait_for(self._work, min(first.retry_after_seconds, POLL_SECONDS))
            return 0.0
        more = min(CLAIMS_AT_ONCE, self._window.room) - 1
        others = await asyncio.gather(*(self._claim() for _ in range(more)), return_exceptions=True)
        for claim in (first, *others):
            if isinstance(claim, BaseException):
                continue
            for lease in claim.leases:
                await self._publish(lease)
        for failed in others:
            if isinstance(failed, BaseException):
                raise failed
        self._has_unknown = False
        return 0.0

    async def _claim(self) -> Claim:
        """Claim a lease. A cancellation does not stop the claim, or its lease would be unknown."""
        asked = NextClaim((self.pipeline,), self._items, worker=self._settings.name)
        claiming = asyncio.ensure_future(self._call(claim_as, asked))
        self._claiming.add(claiming)
        claiming.add_done_callback(self._claiming.discard)
        return await asyncio.shield(claiming)

    async def _withdraw_unknown(self) -> None:
        """Withdraw the leases that are not in the window, because nothing publishes them.

        Only called while no claim of this pipeline is in progress.
        """
        found = await self._call(all_offered, self._settings.name, self.pipeline)
        unknown = [token for token in found if self._window.get(token) is None]
        for token in unknown:
            await self._call(withdraw, token, self._settings.name)
        self._has_unknown = False

    async def _publish(self, lease: GrantedLease) -> None:
        grant = Grant(UUID(lease.token), lease.lease_seconds)
        self._window.add(grant)
        data = grants.GrantMessage(self._settings.name, lease.as_json()).encoded()
        most = self._broker.payload_bytes_max
        if len(data) > most:
            self._items = max(1, len(lease.items) // 2)
            await self._withdraw([grant.token])
            if len(lease.items) == 1:
                what = (
                    "item %d of job %d takes %d bytes, and NATS no more than %d: raise max_payload"
                )
                logger.error(what, lease.items[0].id, lease.job, len(data), most)
                await asyncio.sleep(POLL_SECONDS)
            return
        self._items = min(self._settings.items, self._items * 2)
        asyncio.create_task(self._await_ack(grant, data, len(lease.items)))  # noqa: RUF006 (the window has it)

    async def _await_ack(self, grant: Grant, data: bytes, items: int) -> None:
        """Publish the message; the next grant does not wait for its acknowledgement."""
        try:
            async with asyncio.timeout(ACK_SECONDS_MAX):
                grant.sequence = await self._broker.publish(self._subject, data)
            self.items_published += items
        except FAILURES as error:
            logger.info("%s: a grant was not acknowledged: %s", self.pipeline, error)
            self._resumes_at = time.monotonic() + POLL_SECONDS
            await self._withdraw([grant.token])

    async def _check_window(self) -> float:
        """Find out which were taken, renew the others, and withdraw those that can reach nobody."""
        tokens = self._window.tokens()
        if tokens:
            offered = await self._call(still_offered, tokens, self._settings.name)
            for token in tokens:
                if token not in offered:
                    self.remove(token)
            await self._withdraw(token for token, may in offered.items() if not may)
        await self._withdraw(self._window.older_than(self._settings.age_seconds))
        for seconds, due in self._window.to_renew():
            await self._call(renew_many, due, seconds)
        if self._broker.down_seconds > DOWN_SECONDS_MAX:
            await self._withdraw(self._window.tokens())
        elif self._broker.is_up:
            await self._withdraw_lost()
        return CHECK_SECONDS

    async def _withdraw_lost(self) -> None:
        """All, if the stream is a new one; otherwise a few are looked up, the oldest first."""
        if self._generation != self._broker.generation:
            known, self._generation = self._generation, self._broker.generation
            if known:
                await self._withdraw(grant.token for grant in self._window.acknowledged())
            return
        lost = []
        for grant in self._window.next_to_check(CHECKED_MAX, CHECK_AGE_SECONDS_MIN):
            assert grant.sequence is not None
            if await self._broker.has_message(grant.sequence):
                grant.was_missing = False
            elif grant.was_missing:
                lost.append(grant.token)
            else:
                grant.was_missing = True
        await self._withdraw(lost)

    async def _withdraw_all(self) -> None:
        """Withdraw all grants at the end; the next dispatcher of this name withdraws the rest."""
        await asyncio.gather(*self._claiming, return_exceptions=True)
        await self._withdraw(self._window.tokens())
        if self._has_unknown:  # else the next dispatcher of this name may have grants already
            with suppress(JoblotError):
                await self._withdraw_unknown()

    async def _withdraw(self, tokens: Iterable[UUID]) -> None:
        for token in list(tokens):
            grant = self._window.get(token)
            try:
                await self._call(withdraw, token, self._settings.name)
            except JoblotError as error:
                logger.warning("lease %s is left to expire: %s", token, error)
            self.remove(token)
            if grant is not None and grant.sequence is not None and self._broker.is_up:
                await self._broker.delete_message(grant.sequence)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.01)):
            await event.wait()
