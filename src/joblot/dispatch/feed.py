"""One pipeline's grants: leased in the ledger, sent to the broker, renewed until they are taken.

Each chunk is a claim, so the ledger decides anew whether its job is to be worked on. What can't be
sent, or got lost on its way, is given back: it costs its items nothing, and is leased again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

from joblot import grants
from joblot.dispatch.broker import FAILURES, LOOK_SECONDS, Broker
from joblot.dispatch.window import Grant, Window
from joblot.errors import JoblotError
from joblot.ledger.claim.claim import claim_as
from joblot.ledger.claim.take import still_offered, withdraw
from joblot.ledger.lease import renew_many
from joblot.wire import Claim, GrantedLease, NextClaim

logger = logging.getLogger("joblot.dispatch")

CLAIMS_AT_ONCE = 4
POLL_SECONDS = 2.0  # between two claims that find nothing, while nothing is announced
CONFIRM_SECONDS_MAX = 5.0  # for the broker to confirm a grant
DOWN_SECONDS_MAX = 3.0  # of the broker, before what it carries is given back
LOOKED_FOR_MAX = 8  # grants that are looked for in the stream at once
AGE_SECONDS_MIN = 2.0  # of a grant that is looked for

T = TypeVar("T")


class Call(Protocol):
    """Runs a verb of the ledger in a thread."""

    def __call__(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """`items` of a grant, and `window`: grants of a pipeline that are on their way.

    After `age_seconds` a grant is given back and leased anew, whatever became of its message: it
    may be in a consumer that never brings it again.
    """

    name: str
    items: int = 64
    window: int = 64
    age_seconds: float = 120.0


class Feed:
    """The grants of `pipeline`."""

    def __init__(self, pipeline: str, broker: Broker, call: Call, settings: FeedSettings) -> None:
        self.pipeline = pipeline
        self._subject = grants.subject_of(pipeline)
        self._broker = broker
        self._call = call
        self._settings = settings
        self._items = settings.items
        self._window = Window(settings.window)
        self._life = 0  # of the stream to which the window was sent
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._resumes_at = 0.0  # after the broker has refused a grant
        self.items_sent = 0  # and confirmed by the broker

    def __len__(self) -> int:
        return len(self._window)

    def look(self) -> None:
        """There may be work."""
        self._work.set()

    def taken(self, token: UUID) -> None:
        """A worker says that it has taken this lease."""
        if self._window.drop(token):
            self._room.set()

    async def run(self) -> None:
        """Until cancelled; then what nobody has taken is given back."""
        filling = asyncio.create_task(self._repeated(self._fill))
        try:
            await self._repeated(self._check)
        finally:
            filling.cancel()
            await asyncio.wait({filling})
            await asyncio.shield(self._give_back(self._window.tokens()))

    async def _repeated(self, step: Callable[[], Awaitable[float]]) -> None:
        while True:
            try:
                seconds = await step()
            except JoblotError as error:
                logger.warning("%s: %s", self.pipeline, error)
                seconds = POLL_SECONDS
            except FAILURES as error:
                logger.info("%s: NATS: %s", self.pipeline, error)
                seconds = LOOK_SECONDS
            await asyncio.sleep(seconds)

    async def _fill(self) -> float:
        """Send what there is room for; returns after how long to go on."""
        waits = time.monotonic() < self._resumes_at
        if waits or not self._broker.is_up or self._window.room <= 0:
            self._room.clear()
            await _set_within(self._room, LOOK_SECONDS)
            return 0.0
        self._work.clear()
        first = await self._claim()
        if not first.leases:
            await _set_within(self._work, min(first.retry_after_seconds, POLL_SECONDS))
            return 0.0
        more = min(CLAIMS_AT_ONCE, self._window.room) - 1
        others = await asyncio.gather(*(self._claim() for _ in range(more)))
        for claim in (first, *others):
            for lease in claim.leases:
                await self._send(lease)
        return 0.0

    async def _claim(self) -> Claim:
        asked = NextClaim((self.pipeline,), self._items, worker=self._settings.name)
        return await self._call(claim_as, asked)

    async def _send(self, lease: GrantedLease) -> None:
        grant = Grant(UUID(lease.token), lease.lease_seconds)
        self._window.add(grant)
        data = grants.Sent(self._settings.name, lease.as_json()).encoded()
        most = self._broker.payload_bytes_max
        if len(data) > most:
            self._items = max(1, len(lease.items) // 2)
            await self._give_back([grant.token])
            if len(lease.items) == 1:
                what = (
                    "item %d of job %d takes %d bytes, and NATS no more than %d: raise max_payload"
                )
                logger.error(what, lease.items[0].id, lease.job, len(data), most)
                await asyncio.sleep(POLL_SECONDS)
            return
        self._items = min(self._settings.items, self._items * 2)
        asyncio.create_task(self._store(grant, data, len(lease.items)))  # noqa: RUF006 (the window knows of it)

    async def _store(self, grant: Grant, data: bytes, items: int) -> None:
        """Have the broker confirm it; the next one does not wait for that."""
        try:
            storing = self._broker.publish(self._subject, data)
            grant.place = await asyncio.wait_for(storing, CONFIRM_SECONDS_MAX)
            self.items_sent += items
        except FAILURES as error:
            logger.info("%s: a grant was not stored: %s", self.pipeline, error)
            self._resumes_at = time.monotonic() + POLL_SECONDS
            await self._give_back([grant.token])

    async def _check(self) -> float:
        """Learn what was taken, renew the rest, and give back what can reach nobody."""
        tokens = self._window.tokens()
        if tokens:
            offered = await self._call(still_offered, tokens, self._settings.name)
            for token in tokens:
                if token not in offered:
                    self.taken(token)
            await self._give_back(token for token, may in offered.items() if not may)
        await self._give_back(self._window.aged(self._settings.age_seconds))
        for seconds, due in self._window.due():
            await self._call(renew_many, due, seconds)
        if self._broker.down_seconds > DOWN_SECONDS_MAX:
            await self._give_back(self._window.tokens())
        elif self._broker.is_up:
            await self._look_for_lost()
        return LOOK_SECONDS

    async def _look_for_lost(self) -> None:
        """A new stream has none of them; else a few are looked for, the oldest first."""
        if self._life != self._broker.life:
            known, self._life = self._life, self._broker.life
            if known:
                await self._give_back(grant.token for grant in self._window.stored())
            return
        lost = []
        for grant in self._window.oldest(LOOKED_FOR_MAX, AGE_SECONDS_MIN):
            assert grant.place is not None
            if await self._broker.holds(grant.place):
                grant.was_missed = False
            elif grant.was_missed:
                lost.append(grant.token)
            else:
                grant.was_missed = True
        await self._give_back(lost)

    async def _give_back(self, tokens: Iterable[UUID]) -> None:
        for token in list(tokens):
            grant = self._window.get(token)
            try:
                await self._call(withdraw, token, self._settings.name)
            except JoblotError as error:
                logger.warning("lease %s is left to expire: %s", token, error)
            self.taken(token)
            if grant is not None and grant.place is not None and self._broker.is_up:
                await self._broker.remove(grant.place)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0.01))
    except TimeoutError:
        return
