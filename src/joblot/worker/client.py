"""What a worker needs of joblot, wherever that is: over HTTP, or in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from joblot.wire import Claim, ItemReceipt, Result


class Client(Protocol):
    """The worker's verbs. Called from several threads at once.

    Each may raise Unavailable (nothing is known to be done: call again with the same arguments),
    Refused, or InvalidInput; TooLarge says that less at once may be taken.
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
        """Up to `limit` items to work on; asking again with the key gives the same lease.

        Where there is nothing ready, the answer may wait for it, for up to `wait_seconds`.
        """

    def renew(self, token: str) -> str:
        """Hold the lease for longer. Raises LeaseEnded, NotFound."""

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        """One receipt for each result, in order; what was counted may be reported again."""

    def release(self, token: str) -> object:
        """Give back what the lease still holds, at no cost to the items."""

    def close(self) -> None:
        """The calling thread needs the client no more."""
