"""Requests of the API over NATS, with HTTP as the fallback where there is a server."""

from __future__ import annotations

import json

import httpx

from joblot import grants
from joblot.errors import Unavailable
from joblot.worker.nats_connection import NatsConnection

PASSED_ON = ("authorization", "content-type", "content-encoding", "joblot-worker")
HEADERS_BYTES_MAX = 4_096  # of a message
ANSWER_SECONDS = 10.0  # if the request has no timeout
PROBLEM = "application/problem+json"


class NatsTransport(httpx.BaseTransport):
    """An httpx transport over `nats`.

    If NATS is down, or does not answer, the same request is sent through `fallback`: repeating it
    is always safe.
    """

    def __init__(self, nats: NatsConnection, fallback: httpx.BaseTransport | None = None) -> None:
        self._nats = nats
        self._fallback = fallback

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        too_large = len(body) + HEADERS_BYTES_MAX > self._nats.payload_bytes_max
        if self._nats.is_up and not too_large:
            try:
                return self._request(request, body)
            except Unavailable as error:
                if self._fallback is None:
                    raise httpx.ReadError(str(error)) from error
        if self._fallback is not None:
            return self._fallback.handle_request(request)
        if self._nats.is_up:
            return _too_large(self._nats.payload_bytes_max - HEADERS_BYTES_MAX)
        raise httpx.ConnectError(f"NATS can't be reached: {self._nats.error}")

    def _request(self, request: httpx.Request, body: bytes) -> httpx.Response:
        given = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        given[grants.METHOD] = request.method
        given[grants.TARGET] = request.url.raw_path.decode()
        seconds = request.extensions.get("timeout", {}).get("read") or ANSWER_SECONDS
        headers, content = self._nats.request(grants.REQUESTS, body, given, seconds)
        found = {name.lower(): value for name, value in headers.items()}
        status = int(found.pop(grants.STATUS.lower(), 502))
        return httpx.Response(status, headers=found, content=content)

    def close(self) -> None:
        self._nats.close()
        if self._fallback is not None:
            self._fallback.close()


def _too_large(most: int) -> httpx.Response:
    """The API's problem document, so that a report is split."""
    problem = {
        "type": "about:blank",
        "title": "too_large",
        "status": 413,
        "code": "too_large",
        "detail": f"NATS takes at most {most} bytes: split it, or give the worker a --url, too",
        "limit": most,
    }
    content = json.dumps(problem).encode()
    return httpx.Response(413, headers={"content-type": PROBLEM}, content=content)
