"""The worker's client for a ledger in this process: it calls the verbs directly."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from joblot.cli import verbs
from joblot.wire import CallProgress, Claim, ItemReceipt, NextClaim, Reported, Result


class LocalClient:
    """Calls the ledger's verbs; each thread has its own database connection."""

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
        return verbs.claim(
            pipelines, limit, job=job, worker=worker, idempotency_key=idempotency_key
        )

    def renew(self, token: str, progress: CallProgress | None = None) -> str:
        return verbs.renew(token, progress=progress)

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        return verbs.report(token, results)

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        return verbs.report(token, results, claim_next=claim_next)

    def release(self, token: str) -> object:
        return verbs.release(token)

    def close(self) -> None:
        connections.close_all()
