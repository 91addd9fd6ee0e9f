"""What a worker needs from joblot, over HTTP or in this process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from joblot.errors import KeyConflict
from joblot.wire import CallProgress, Claim, ItemReceipt, NextClaim, Reported, Result

logger = logging.getLogger("joblot.worker")


class Client(Protocol):
    """The worker's verbs. Called from several threads at once.

    Each may raise Unavailable (the outcome is unknown: call again with the same arguments),
    Refused, or InvalidInput; TooLarge means that a smaller request may be accepted.
    """

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
        """Up to `limit` items to work on; repeating the call with the key returns the same lease.

        If nothing is ready, the call may wait for work, for up to `wait_seconds`.
        """

    def renew(self, token: str, progress: CallProgress | None = None) -> str:
        """Extend the lease; returns its new deadline. Raises LeaseEnded, NotFound.

        `progress` is how far the worker is with what it works on.
        """

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        """One receipt for each result, in order; a counted result may be reported again."""

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        """Report, and claim the next lease in the same call.

        The claim takes no receipt away. If neither a claim nor an error of it is returned, none was
        made. After any error, the claim alone with the same key returns the same lease.
        """

    def release(self, token: str) -> object:
        """Give back the lease's open items, at no cost to their budgets."""

    def interrupt(self) -> None:
        """The worker drains: a claim that waits should return. Also called by signal handlers."""

    def close(self) -> None:
        """The calling thread no longer needs the client."""


def claim_in(reported: Reported) -> Claim | None:
    """The claim that came with a report; None if it is to be made by itself, with the same key."""
    if isinstance(reported.claim_error, KeyConflict):
        return Claim(())  # granted, and ended before the answer came
    if reported.claim_error is not None:
        logger.info("nothing was claimed with a report: %s", reported.claim_error)
    return reported.claim
