"""The worker's verbs over NATS: it pulls grants from a stream; all else is request/reply.

A grant says where to find work; the lease is the worker's once the ledger has confirmed it. A grant
that is delivered late or twice is refused there, and discarded.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from joblot import grants
from joblot.errors import AtLimit, NotFound, Refused, Unavailable, WorkerRevoked
from joblot.states import NoLease
from joblot.wire import Claim, GrantedLease, NextClaim, Reported, Result
from joblot.worker.http import HttpClient
from joblot.worker.nats_address import NatsAddress
from joblot.worker.nats_connection import NatsConnection
from joblot.worker.nats_transport import NatsTransport
from joblot.worker.shapes import deadline_of, lease_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg

logger = logging.getLogger("joblot.worker")

TURN_SECONDS = 0.5  # to wait at one of several pipelines before the next
TAKEN_MAX = 1_000  # leases that are remembered, so that none is worked on twice
AT_LIMIT_SECONDS = 2.0  # until a grant is redelivered that this worker may not take now


class NatsClient(HttpClient):
    """NATS at `nats`, and a joblot server at `url`, if that is not empty.

    If NATS is down, leases are claimed, as over HTTP; with a server, also if no grant was delivered
    for as long as a claim waits. Raises as HttpClient, and Unavailable if a dependency is missing.
    """

    def __init__(
        self,
        nats: NatsAddress,
        url: str = "",
        token: str = "",
        instance: str = "",
        *,
        token_file: str = "",
        about: Mapping[str, Any] | None = None,
        own: bool = False,
    ) -> None:
        self._has_server = bool(url)  # which may grant what no dispatcher publishes
        self._connection = NatsConnection(nats)
        self._unanswered: Msg | None = None  # a grant that was perhaps taken: to be asked again
        self._taken: deque[str] = deque(maxlen=TAKEN_MAX)  # tokens of leases
        super().__init__(
            url or "http://joblot.invalid",
            token,
            instance,
            token_file=token_file,
            about=about,
            own=own,
            around=lambda http: NatsTransport(self._connection, http if url else None),
        )

    def claim(
        self,
        pipelines: Sequence[str],
        limit: int,
        *,
        job: int | None,
        worker: str,
        idempotency_key: str,
        wait_seconds: float = 0.0,
    ) -> Claim:
        """The dispatcher has chosen the size of a grant, so `limit` matters for claims only."""
        ends = time.monotonic() + wait_seconds
        try:
            lease = self._fetch(pipelines, ends)
        except AtLimit:
            return Claim((), NoLease.AT_LIMIT.value, AT_LIMIT_SECONDS)
        except Unavailable as error:
            logger.info("claiming leases, since no grant can be pulled: %s", error)
        else:
            if lease is not None:
                return self._noted(Claim((lease,)))
            if wait_seconds and not self._has_server:
                return Claim((), NoLease.NONE_QUEUED.value)
        left = max(0.0, ends - time.monotonic())  # nothing, if the pull has waited
        return super().claim(
            pipelines,
            limit,
            job=job,
            worker=worker,
            idempotency_key=idempotency_key,
            wait_seconds=left,
        )

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        """Report; the next lease is pulled."""
        return Reported(list(self.report(token, results)))

    def _fetch(self, pipelines: Sequence[str], ends: float) -> GrantedLease | None:
        """The lease of the next grant that the ledger confirms; None if there is none in time.

        Raises Unavailable if that can't be known now, AtLimit.
        """
        if self._unanswered is not None and (lease := self._take(self._unanswered)):
            return lease
        if not self._connection.is_up:
            raise Unavailable(f"NATS can't be reached: {self._connection.error}")
        turns = islice(cycle(pipelines), len(pipelines))
        seconds = 0.0  # at first, whatever is there
        while True:
            for pipeline in turns:
                message = self._connection.fetch(pipeline, seconds)
                if message is not None and (lease := self._take(message)):
                    return lease
            left = ends - time.monotonic()
            if left <= 0:
                return None
            turns = islice(cycle(pipelines), len(pipelines))
            seconds = min(left, TURN_SECONDS) if len(pipelines) > 1 else left

    def _take(self, message: Msg) -> GrantedLease | None:
        """The lease of this grant, if the ledger makes it this worker's.

        Raises Unavailable if that is unknown; the grant is then tried again. Raises AtLimit if it
        was left to others.
        """
        self._unanswered = message
        try:
            grant = grants.GrantMessage.decoded(message.data)
            lease = lease_of(grant.lease)
        except (ValueError, Unavailable) as error:
            logger.warning("a message was discarded: %s", error)
            self._discard(message)
            return None
        try:
            # The ledger lets its holder take a lease twice, so that a lost answer can be repeated.
            until = "" if lease.token in self._taken else self._ask(lease.token, grant.dispatcher)
        except AtLimit:
            self._unanswered = None
            self._connection.redeliver(message, AT_LIMIT_SECONDS)
            raise
        if not until:
            self._discard(message)
            return None
        self._unanswered = None
        self._taken.append(lease.token)
        with suppress(Unavailable):  # the grant is redelivered then, and discarded
            self._connection.acknowledge(message, lease.token)
        return replace(lease, expires_at=until)

    def _discard(self, message: Msg) -> None:
        self._unanswered = None
        self._connection.acknowledge(message)

    def _ask(self, token: str, dispatcher: str) -> str:
        """The lease's new deadline; empty if it is another's, or nobody may have it.

        Raises Unavailable, AtLimit, WorkerRevoked.
        """
        path = f"leases/{quote(token, safe='')}/take"
        try:
            return deadline_of(self._post(path, {"dispatcher": dispatcher}))
        except (WorkerRevoked, AtLimit):
            raise
        except (NotFound, Refused) as error:
            logger.debug("a grant was discarded: %s", error)
            return ""
