"""One attempt: post a message and read the receiver's response, within limits."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from ssl import SSLContext

import httpcore
import httpx

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.shown import shown
from joblot.webhooks.addresses import CheckedNetwork, require_callable

GONE = 410

_URL_CHARS_MAX = 2_000
_FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an attempt. Without a response, `status` is null and `error` says why."""

    status: int | None
    error: str = ""
    retry_after_seconds: float | None = None

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def checked_url(given: str) -> str:
    """Return `given` if it can be posted to. Does not resolve names. Raises InvalidInput."""
    try:
        url = httpx.URL(given)
        known = url.scheme in ("http", "https") and url.host and not url.userinfo
        known = known and (url.port is None or 0 < url.port < 65_536)
    except (httpx.InvalidURL, TypeError, ValueError):
        known = False
    if not known or len(given) > _URL_CHARS_MAX or not given.isascii() or not given.isprintable():
        raise InvalidInput(
            "url: expected https://host/path (or http) without user information, at most "
            f"{_URL_CHARS_MAX} ASCII characters, got {shown(given)}"
        )
    with suppress(ValueError):  # a name; its addresses are checked at every call
        require_callable("url", url.host)
    return given


def post(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Post `body` once, without following redirects, in at most `webhook_seconds_max`."""
    deadline = time.monotonic() + limits().webhook_seconds_max
    target = httpx.URL(url)
    sent = {
        "Host": target.netloc.decode(),
        "Content-Type": "application/json",
        "User-Agent": f"joblot/{version('joblot')}",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **headers,
    }
    network = CheckedNetwork(deadline)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=network) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=target.raw_scheme,
                    host=target.raw_host,
                    port=target.port,
                    target=target.raw_path,
                ),
                headers=list(sent.items()),
                content=body,
            ) as response,
        ):
            return _answer(response)
    except InvalidInput as error:
        return Answer(None, str(error))
    except _FAILURES as error:
        return Answer(None, f"{type(error).__name__}: {error}")


# Threads: a context that never changes; at worst created twice.
@cache
def _trust() -> SSLContext:
    """The trusted certificate authorities; SSL_CERT_FILE names others."""
    return httpx.create_ssl_context()


def _answer(response: httpcore.Response) -> Answer:
    if 200 <= response.status < 300:
        return Answer(response.status)
    headers = {name.lower(): value for name, value in response.headers}
    retry_after = _seconds(headers.get(b"retry-after", b"").decode("latin-1").strip())
    return Answer(response.status, _beginning(response), retry_after)


def _beginning(response: httpcore.Response) -> str:
    """The beginning of the body, for people; as much as arrives in time."""
    most, read = limits().webhook_answer_bytes_max, b""
    with suppress(*_FAILURES):
        for piece in response.iter_stream():
            read += piece
            if len(read) >= most:
                break
    text = read[:most].decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _seconds(given: str) -> float | None:
    """Parse Retry-After, given in seconds or as a date; None for anything else."""
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        until = email.utils.parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
