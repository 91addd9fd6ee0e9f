"""Requests to a joblot server, and its answers as JSON or as joblot's errors.

A network error, and every answer that is not joblot's own, is Unavailable: the outcome is unknown.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from ssl import SSLContext
from typing import Any
from urllib.parse import urlsplit

import httpx

from joblot.errors import InvalidInput, JoblotError, Unavailable
from joblot.local import is_local
from joblot.worker.local_transport import LocalTransport
from joblot.worker.proxy import proxy_of
from joblot.worker.shapes import error_of
from joblot.worker.token import Token, is_header

logger = logging.getLogger("joblot.worker")

CONNECT_SECONDS_MAX = 10.0
GZIP_BYTES_MIN = 4_096
GZIP_LEVEL = 3
NOT_AUTHENTICATED = 401
PROBLEM = "application/problem+json"
NDJSON = "application/x-ndjson"

Around = Callable[[httpx.BaseTransport], httpx.BaseTransport]


class Connection:
    """A joblot server at `url`; any thread may use it.

    `token` appears in no log and no error message. `own` means a server of this user on this
    machine: it is reached through its socket, with the local token. `around` makes another
    transport of the usual one. Raises InvalidInput for a malformed URL, token or proxy.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        own: bool = False,
        headers: Mapping[str, str] | None = None,
        around: Around | None = None,
    ) -> None:
        base = base_of(url)
        if not is_header(token.text):
            raise InvalidInput("token: expected visible ASCII characters, without spaces")
        own_transport = LocalTransport(base) if own else None
        self._http = httpx.Client(
            base_url=f"{base}/api/v1/",
            headers=dict(headers or {}),
            auth=TokenAuth(token) if token.text else None,
            verify=_trust() if base.startswith("https:") else False,
            transport=around(_transport(base, own=own)) if around else own_transport,
            proxy=None if own or around else proxy_of(base),
            trust_env=False,  # its proxies are chosen above, its certificates in `_trust`
        )

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        given: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        timeout: httpx.Timeout,
    ) -> Any:
        """The answer's JSON, None if it has no content; `given` is the request's JSON."""
        body, headers = (None, {}) if given is None else _encoded(given)
        with _reaching():
            answer = self._http.request(
                method, path, content=body, headers=headers, params=params, timeout=timeout
            )
        return judged(answer)

    def send_lines(self, path: str, values: Iterable[Any], *, timeout: httpx.Timeout) -> Any:
        """Post a stream of JSON lines, as `values` yields them; the answer's JSON."""
        content = (json.dumps(value).encode() + b"\n" for value in values)
        headers = {"Content-Type": NDJSON}
        with _reaching():
            answer = self._http.post(path, content=content, headers=headers, timeout=timeout)
        return judged(answer)


def _transport(base: str, *, own: bool) -> httpx.BaseTransport:
    """As httpx's client makes it of the same arguments."""
    if own:
        return LocalTransport(base)
    return httpx.HTTPTransport(
        verify=_trust() if base.startswith("https:") else False,
        proxy=proxy_of(base),
        trust_env=False,
    )


class TokenAuth(httpx.Auth):
    """Sends the token. If it is refused and its file has another one by now, sends that one.

    So a token is replaced without restarting its clients: write the new one to the file, then
    revoke the old one.
    """

    def __init__(self, token: Token) -> None:
        self._token = token  # Threads: replaced by one assignment

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        used = self._token
        request.headers["Authorization"] = f"Bearer {used.text}"
        answer = yield request
        if answer.status_code == NOT_AUTHENTICATED and (renewed := self._renewed(used)):
            request.headers["Authorization"] = f"Bearer {renewed.text}"
            yield request

    def _renewed(self, used: Token) -> Token | None:
        if not used.file:
            return None
        try:
            found = Token.read(used.file)
        except InvalidInput as error:
            logger.warning("the token was refused, and its file can't be read again: %s", error)
            return None
        self._token = found
        return None if found == used else found


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError) as error:
        cause = str(error) or "no answer in time"
        raise Unavailable(f"{type(error).__name__}: {cause}") from error


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


def is_own(url: str, token: Token) -> bool:
    """True for a server of this user on this machine: a local URL, and no token."""
    return not token.text and is_local(url)


def _encoded(given: Any) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if len(body) >= GZIP_BYTES_MIN:
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return body, headers


def judged(answer: httpx.Response) -> Any:
    """The answer's JSON. Raises the error that it describes."""
    if not answer.is_success:
        raise _error_in(answer)
    return _parsed(answer.content) if answer.content else None


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
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
