"""The worker's verbs over HTTP.

Every call has a deadline shorter than a lease. A network error, and every answer that is not
joblot's own, is Unavailable: the outcome is unknown, and the same request is made again, which is
always safe.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from joblot.errors import InvalidInput, JoblotError, Unavailable
from joblot.wire import Claim, ItemReceipt, Result
from joblot.worker.local_transport import LocalTransport
from joblot.worker.shapes import claim_of, deadline_of, error_of, receipts_of, result_json

logger = logging.getLogger("joblot.worker")

CALL_SECONDS_MAX = 30.0  # to connect, to send a piece or to receive one
CALL_SECONDS_MIN = 1.0
REPORT_SECONDS_MAX = 120.0  # for the answer to a report, after shorter timeouts
CALLS_PER_LEASE = 5  # so that a renewal, due after a third, may fail and be repeated in time
CONNECT_SECONDS_MAX = 10.0
GZIP_BYTES_MIN = 4_096
GZIP_LEVEL = 3
INSTANCE_CHARS_MAX = 200
PROBLEM = "application/problem+json"


class HttpClient:
    """A joblot server at `url`. Closing it closes its connections; any thread may use it.

    `token` appears in no log and no error message. `instance` names this worker in each request;
    `about` describes it in claims. `own` means a server of this user on this machine: it is reached
    through its socket, with the local token. Raises InvalidInput for a malformed URL or token.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        instance: str = "",
        *,
        about: Mapping[str, Any] | None = None,
        own: bool = False,
        call_seconds_max: float = CALL_SECONDS_MAX,
    ) -> None:
        self._about = about
        self.call_seconds = call_seconds_max
        self._report_seconds = 0.0  # if longer than call_seconds
        headers = {"Joblot-Worker": _header("worker", instance)[:INSTANCE_CHARS_MAX]}
        if token:
            headers["Authorization"] = f"Bearer {_header('token', token)}"
        base = base_of(url)
        self._http = httpx.Client(
            base_url=f"{base}/api/v1/",
            headers=headers,
            verify=_trust(),
            transport=LocalTransport(base) if own else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

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
        asked: dict[str, Any] = {
            "pipelines": list(pipelines),
            "limit": limit,
            "wait_seconds": wait_seconds,
            "job": job,
            "idempotency_key": idempotency_key,
        }
        if self._about is not None:
            asked["about"] = self._about
        answer_seconds = self.call_seconds + wait_seconds
        claim = claim_of(self._post("claims", asked, answer_seconds=answer_seconds))
        for lease in claim.leases:
            in_time = max(lease.lease_seconds / CALLS_PER_LEASE, CALL_SECONDS_MIN)
            self.call_seconds = min(self.call_seconds, in_time)
        return claim

    def renew(self, token: str) -> str:
        return deadline_of(self._post(f"leases/{quote(token, safe='')}/renew", {}))

    def report(self, token: str, results: Sequence[Result]) -> Sequence[ItemReceipt]:
        """Waits longer after a timeout: else a server slower than that could never answer."""
        posted = {"lease": token, "results": [result_json(result) for result in results]}
        try:
            answer = self._post("results", posted, answer_seconds=self._report_seconds)
        except Unavailable as error:
            if isinstance(error.__cause__, httpx.ReadTimeout):
                longer = 2 * max(self._report_seconds, self.call_seconds)
                self._report_seconds = min(longer, REPORT_SECONDS_MAX)
            raise
        self._report_seconds = 0.0
        return receipts_of(answer, len(results))

    def release(self, token: str) -> object:
        return self._post(f"leases/{quote(token, safe='')}/release", {})

    def close(self) -> None:
        """Threads hold no resources of their own here."""

    def _post(self, path: str, given: Any, *, answer_seconds: float = 0.0) -> Any:
        """The answer's JSON. Waits `answer_seconds` for it, if that exceeds the usual timeout."""
        body, headers = _encoded(given)
        seconds = self.call_seconds
        timeout = httpx.Timeout(
            seconds,
            connect=min(seconds, CONNECT_SECONDS_MAX),
            read=max(seconds, answer_seconds),
        )
        try:
            answer = self._http.post(path, content=body, headers=headers, timeout=timeout)
        except httpx.HTTPError as error:
            cause = str(error) or "no answer in time"
            raise Unavailable(f"{type(error).__name__}: {cause}") from error
        return _judged(answer)


# Threads: a context that never changes; at worst created twice.
@cache
def _trust() -> SSLContext:
    """The trusted certificate authorities; SSL_CERT_FILE names others. Read once: it is slow."""
    return httpx.create_ssl_context()


def base_of(url: str) -> str:
    """The server's address without a trailing slash. Raises InvalidInput if it is malformed."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        good = plain = False
    if not (good and plain):
        raise InvalidInput(
            "url: expected the server's address, such as https://host:port, without a user name, a "
            "password or a query"
        )
    return url.rstrip("/").removesuffix("/api/v1")


def _encoded(given: Any) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if len(body) >= GZIP_BYTES_MIN:
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return body, headers


def _judged(answer: httpx.Response) -> Any:
    """The answer's JSON. Raises the error that it describes."""
    if not answer.is_success:
        raise _error_in(answer)
    try:
        return answer.json()
    except (ValueError, RecursionError) as error:
        raise Unavailable("expected JSON, got something else: is this a joblot server?") from error


def _error_in(answer: httpx.Response) -> JoblotError:
    problem = None
    if answer.headers.get("Content-Type", "").startswith(PROBLEM):
        try:
            problem = answer.json()
        except (ValueError, RecursionError):
            logger.warning("the problem document of status %d is not JSON", answer.status_code)
    given = problem if isinstance(problem, dict) else None
    return error_of(answer.status_code, given, _retry_after(answer))


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds. The date form is not parsed; only the hint is lost."""
    try:
        return max(0.0, float(answer.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _header(what: str, value: str) -> str:
    """Check that a header may hold the value. The message does not show it: it may be secret."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidInput(f"{what}: expected visible ASCII characters, without spaces")
    return value
