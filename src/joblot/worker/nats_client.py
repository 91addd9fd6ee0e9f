"""The worker's verbs over NATS: leases are pulled from a stream, all else is asked for.

A grant from the stream is only where to find work: the lease is the worker's once the ledger has
said so. A grant that came late or twice is refused there, and dropped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from joblot import grants
from joblot.errors import NotFound, Refused, Unavailable, WorkerRevoked
from joblot.states import NoLease
from joblot.wire import Claim, GrantedLease, NextClaim, Reported, Result
from joblot.worker.http import HttpClient
from joblot.worker.nats_link import NatsLink
from joblot.worker.nats_transport import NatsTransport
from joblot.worker.shapes import deadline_of, lease_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg

logger = logging.getLogger("joblot.worker")

SLICE_SECONDS = 0.5  # for which one of several pipelines is waited for
TAKEN_MAX = 1_000  # leases that are remembered, so that none is worked on twice


class NatsClient(HttpClient):
    """NATS at `nats_url`, and a joblot server at `url`, if that is not empty.

    If NATS is down, leases are claimed, as over HTTP; with a server, also if none was sent for as
    long as a claim waits. Raises as HttpClient, and Unavailable if NATS's client is not installed.
    """

    def __init__(
        self,
        nats_url: str,
        url: str = "",
        token: str = "",
        instance: str = "",
        *,
        token_file: str = "",
        about: Mapping[str, Any] | None = None,
        own: bool = False,
    ) -> None:
        self._has_server = bool(url)  # which may grant what no dispatcher sends
        self._link = NatsLink(nats_url)
        self._takes: Msg | None = None  # whose lease may be this worker's: it is asked for again
        self._had: deque[str] = deque(maxlen=TAKEN_MAX)  # the leases that it took before
        super().__init__(
            url or "http://joblot.invalid",
            token,
            instance,
            token_file=token_file,
            about=about,
            own=own,
            around=lambda http: NatsTransport(self._link, http if url else None),
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
        """The size of a grant was chosen by its dispatcher, so `limit` matters for claims only."""
        ends = time.monotonic() + wait_seconds
        try:
            lease = self._pulled(pipelines, ends)
        except Unavailable as error:
            logger.info("leases are claimed, as none can be pulled: %s", error)
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

    def _pulled(self, pipelines: Sequence[str], ends: float) -> GrantedLease | None:
        """The next grant that the ledger confirms; None if there is none in time.

        Raises Unavailable if NATS can't say.
        """
        if self._takes is not None and (lease := self._taken(self._takes)):
            return lease
        if not self._link.is_up:
            raise Unavailable("NATS can't be reached")
        turns = islice(cycle(pipelines), len(pipelines))
        seconds = 0.0  # at first, whatever is there
        while True:
            for pipeline in turns:
                message = self._link.pull(pipeline, seconds)
                if message is not None and (lease := self._taken(message)):
                    return lease
            left = ends - time.monotonic()
            if left <= 0:
                return None
            turns = islice(cycle(pipelines), len(pipelines))
            seconds = min(left, SLICE_SECONDS) if len(pipelines) > 1 else left

    def _taken(self, message: Msg) -> GrantedLease | None:
        """The lease of this grant, if it is this worker's now. Raises Unavailable: unknown."""
        self._takes = message
        try:
            sent = grants.Sent.decoded(message.data)
            lease = lease_of(sent.lease)
        except (ValueError, Unavailable) as error:
            logger.warning("a message was dropped: %s", error)
            self._dropped(message)
            return None
        # The ledger lets its holder take a lease twice, in case the first answer was lost.
        until = "" if lease.token in self._had else self._take(lease.token, sent.dispatcher)
        if not until:
            self._dropped(message)
            return None
        self._takes = None
        self._had.append(lease.token)
        self._link.acknowledge(message, lease.token)
        return replace(lease, expires_at=until)

    def _dropped(self, message: Msg) -> None:
        self._takes = None
        self._link.acknowledge(message)

    def _take(self, token: str, dispatcher: str) -> str:
        """The lease's new deadline; empty if others have it, or nobody may. Raises Unavailable."""
        path = f"leases/{quote(token, safe='')}/take"
        try:
            return deadline_of(self._post(path, {"dispatcher": dispatcher}))
        except WorkerRevoked:
            raise
        except (NotFound, Refused) as error:
            logger.debug("a grant is dropped: %s", error)
            return ""
