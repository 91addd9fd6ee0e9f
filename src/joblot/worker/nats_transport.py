"""Requests of the API over NATS, with HTTP as the way round where there is one."""

from __future__ import annotations

import json

import httpx

from joblot import grants
from joblot.errors import Unavailable
from joblot.worker.nats_link import NatsLink

PASSED_ON = ("authorization", "content-type", "content-encoding", "joblot-worker")
HEAD_BYTES_MAX = 4_096  # of a message, beside its body
ANSWER_SECONDS = 10.0  # if the request does not say how long to wait
PROBLEM = "application/problem+json"


class NatsTransport(httpx.BaseTransport):
    """The httpx transport over `link`. If that is down, or its answer does not come, the same
    request goes by `otherwise`: to repeat it is always safe.
    """

    def __init__(self, link: NatsLink, otherwise: httpx.BaseTransport | None = None) -> None:
        self._link = link
        self._otherwise = otherwise

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        too_large = len(body) + HEAD_BYTES_MAX > self._link.payload_bytes_max
        if self._link.is_up and not too_large:
            try:
                return self._asked(request, body)
            except Unavailable as error:
                if self._otherwise is None:
                    raise httpx.ReadError(str(error)) from error
        if self._otherwise is not None:
            return self._otherwise.handle_request(request)
        if self._link.is_up:
            return _too_large(self._link.payload_bytes_max - HEAD_BYTES_MAX)
        raise httpx.ConnectError("NATS can't be reached")

    def _asked(self, request: httpx.Request, body: bytes) -> httpx.Response:
        given = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        given[grants.METHOD] = request.method
        given[grants.TARGET] = request.url.raw_path.decode()
        seconds = request.extensions.get("timeout", {}).get("read") or ANSWER_SECONDS
        headers, content = self._link.request(grants.REQUESTS, body, given, seconds)
        found = {name.lower(): value for name, value in headers.items()}
        status = int(found.pop(grants.STATUS.lower(), 502))
        return httpx.Response(status, headers=found, content=content)

    def close(self) -> None:
        self._link.close()
        if self._otherwise is not None:
            self._otherwise.close()


def _too_large(most: int) -> httpx.Response:
    """As the API says it, so that a report is split."""
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
