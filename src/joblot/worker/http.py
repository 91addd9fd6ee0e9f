"""The worker's verbs over HTTP.

Every call has a deadline shorter than a lease. If its outcome is unknown (Unavailable), the same
request is made again, which is always safe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from joblot.errors import InvalidInput, Unavailable
from joblot.wire import CallProgress, Claim, ItemReceipt, NextClaim, Reported, Result
from joblot.worker.connection import CONNECT_SECONDS_MAX, Around, Connection
from joblot.worker.shapes import claim_of, deadline_of, receipts_of, reported_of, result_json
from joblot.worker.token import Token, is_header

CALL_SECONDS_MAX = 30.0  # to connect, to send a piece or to receive one
CALL_SECONDS_MIN = 1.0
REPORT_SECONDS_MAX = 120.0  # for the answer to a report, after shorter timeouts
CALLS_PER_LEASE = 5  # so that a renewal, due after a third, may fail and be repeated in time
INSTANCE_CHARS_MAX = 200


class HttpClient:
    """A joblot server at `url`. Closing it closes its connections; any thread may use it.

    `token` appears in no log and no error message; a `token_file` is read again when the token is
    refused. `instance` names this worker in each request; `about` describes it in claims. `own`
    means a server of this user on this machine: it is reached through its socket, with the local
    token. `around` makes another transport of that. Raises InvalidInput for a malformed URL or
    token.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        instance: str = "",
        *,
        token_file: str = "",
        about: Mapping[str, Any] | None = None,
        own: bool = False,
        call_seconds_max: float = CALL_SECONDS_MAX,
        around: Around | None = None,
    ) -> None:
        self._about = about
        self.call_seconds = call_seconds_max
        self._report_seconds = 0.0  # if longer than call_seconds
        if not is_header(instance):
            raise InvalidInput("worker: expected visible ASCII characters, without spaces")
        headers = {"Joblot-Worker": instance[:INSTANCE_CHARS_MAX]}
        self._server = Connection(
            url, Token(token, token_file), own=own, headers=headers, around=around
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()

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
        asked = self._claim_json(pipelines, limit, job, idempotency_key)
        asked["wait_seconds"] = wait_seconds
        answer_seconds = self.call_seconds + wait_seconds
        return self._noted(claim_of(self._post("claims", asked, answer_seconds=answer_seconds)))

    def _claim_json(
        self, pipelines: Sequence[str], limit: int, job: int | None, key: str | None
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "pipelines": list(pipelines),
            "limit": limit,
            "job": job,
            "idempotency_key": key,
        }
        if self._about is not None:
            asked["about"] = self._about
        return asked

    def _noted(self, claim: Claim) -> Claim:
        """The claim; from now on a call fails early enough to renew its leases."""
        for lease in claim.leases:
            in_time = max(lease.lease_seconds / CALLS_PER_LEASE, CALL_SECONDS_MIN)
            self.call_seconds = min(self.call_seconds, in_time)
        return claim

    def renew(self, token: str, progress: CallProgress | None = None) -> str:
        body = {} if progress is None else {"progress": progress.as_json()}
        return deadline_of(self._post(f"leases/{quote(token, safe='')}/renew", body))

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        return receipts_of(self._post_results(token, results), len(results))

    def report_and_claim(
        self, token: str, results: Sequence[Result], claim_next: NextClaim
    ) -> Reported:
        """A server of an older version makes no claim."""
        asked = self._claim_json(
            claim_next.pipelines, claim_next.limit, claim_next.job, claim_next.idempotency_key
        )
        reported = reported_of(self._post_results(token, results, claim=asked), len(results))
        if reported.claim is not None:
            self._noted(reported.claim)
        return reported

    def _post_results(self, token: str, results: Sequence[Result], **more: Any) -> Any:
        """Waits longer after a timeout: else a server slower than that could never answer."""
        posted = {"lease": token, "results": [result_json(result) for result in results], **more}
        try:
            answer = self._post("results", posted, answer_seconds=self._report_seconds)
        except Unavailable as error:
            if isinstance(error.__cause__, httpx.ReadTimeout):
                longer = 2 * max(self._report_seconds, self.call_seconds)
                self._report_seconds = min(longer, REPORT_SECONDS_MAX)
            raise
        self._report_seconds = 0.0
        return answer

    def release(self, token: str) -> object:
        return self._post(f"leases/{quote(token, safe='')}/release", {})

    def interrupt(self) -> None:
        """A claim returns within its `wait_seconds`."""

    def keep_printed(self, token: str, texts: Sequence[tuple[int, str]]) -> object:
        """Keep what items of the lease have printed, in the job's log as far as it has room."""
        printed = [{"item": item, "text": text} for item, text in texts]
        return self._post(f"leases/{quote(token, safe='')}/printed", {"printed": printed})

    def close(self) -> None:
        """Threads hold no resources of their own here."""

    def _post(self, path: str, given: Any, *, answer_seconds: float = 0.0) -> Any:
        """The answer's JSON. Waits `answer_seconds` for it, if that exceeds the usual timeout."""
        seconds = self.call_seconds
        timeout = httpx.Timeout(
            seconds,
            connect=min(seconds, CONNECT_SECONDS_MAX),
            read=max(seconds, answer_seconds),
        )
        return self._server.request("POST", path, given, timeout=timeout)
