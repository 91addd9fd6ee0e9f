"""Malformed requests that no client sends by accident, over the socket."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

import httpx
import pytest

from joblot.ledger.submit.submit import submit
from joblot.wire import failure, success
from joblot.worker.shapes import result_json
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.server.raw import TOKEN, Raw
from tests.server.served import Served

ROUNDS = int(os.environ.get("JOBLOT_TEST_REQUESTS", "60"))
MORE_SECONDS_MAX = 0.3  # after this the server is assumed to wait for the rest of the request

BODY = b'{"lease": "x", "results": []}'


def lines(first: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    """A request that is authenticated, so that its odd part is read."""
    known = f"Authorization: Bearer {TOKEN}".encode()
    host = [] if any(one.startswith(b"Host:") for one in headers) else [b"Host: 127.0.0.1"]
    return b"\r\n".join([first + b" HTTP/1.1", *host, known, *headers, b"", b""]) + body


ODD = {
    "a query that is no UTF-8": lines(b"GET /api/v1/jobs?project=\xff\xfe"),
    "a quoted query that is no UTF-8": lines(b"GET /api/v1/jobs?project=%ff%fe"),
    "a path that is no UTF-8": lines(b"GET /api/v1/jobs/%ff%fe"),
    "U+0000 in a query": lines(b"GET /api/v1/jobs?project=a%00b"),
    "a length that is none": lines(b"POST /api/v1/results", b"Content-Length: x", body=BODY),
    "a length below nought": lines(b"POST /api/v1/results", b"Content-Length: -1", body=BODY),
    "a huge length": lines(b"POST /api/v1/results", b"Content-Length: " + b"9" * 40, body=BODY),
    "two lengths": lines(
        b"POST /api/v1/results", b"Content-Length: 29", b"Content-Length: 3", body=BODY
    ),
    "length and chunks": lines(
        b"POST /api/v1/results",
        b"Content-Length: 29",
        b"Transfer-Encoding: chunked",
        body=b"0\r\n\r\n",
    ),
    "a chunk that is none": lines(
        b"POST /api/v1/results", b"Transfer-Encoding: chunked", body=b"zz\r\n"
    ),
    "a header of many bytes": lines(b"GET /api/v1/jobs", b"X-Odd: " + bytes(range(128, 256)) * 9),
    "a foreign host": lines(b"GET /api/v1/jobs", b"Host: evil.example"),
    "a foreign page": lines(b"POST /api/v1/results", b"Origin: http://evil.example"),
    "no method": lines(b"BREW /api/v1/jobs"),
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "an upgrade": lines(b"GET /api/v1/jobs", b"Connection: Upgrade", b"Upgrade: websocket"),
}


@pytest.fixture
def well(served: Served, http: httpx.Client) -> Iterator[None]:
    """Assert that the next request is served, whatever was sent."""
    yield
    assert http.get("jobs").status_code == 200


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_an_odd_request_is_no_error_of_the_server(
    sqlite_only: str, served: Served, well: None, odd: bytes
) -> None:
    with Raw(served.port) as raw:
        raw.send(odd)
        assert raw.answer().status < 500


def sent(path: str, body: bytes, kind: bytes = b"application/json") -> bytes:
    """A POST request, whose length may be altered too."""
    headers = (b"Content-Type: " + kind, b"Content-Length: %d" % len(body))
    return lines(b"POST " + path.encode(), *headers, body=body)


@pytest.fixture
def sound(ledger_db: str) -> list[bytes]:
    """Valid requests for every kind of body reader."""
    opened = submit("open", keys(2), pipeline="p", seal=False)
    running = submit("running", keys(40), pipeline="q")
    lease = worker.lease("q", 2)
    results = [success(0, {"score": 1.5}), failure(1, "Bad", "m")]
    report = {"lease": lease.token, "results": [result_json(one) for one in results]}
    return [
        sent(f"/api/v1/jobs/{opened.pk}/items", b'"a"\n{}', b"application/x-ndjson"),
        sent("/api/v1/results", json.dumps(report).encode()),
        sent("/api/v1/claims", b'{"pipelines": ["q"], "limit": 2, "wait_seconds": 0.01}'),
        sent("/api/v1/jobs", b'{"name": "x", "pipeline": "p", "items": [{"key": "a"}]}'),
        lines(f"GET /api/v1/jobs/{running.pk}/items?limit=5&after=3&state=open".encode()),
        lines(f"GET /api/v1/jobs/{running.pk}/items".encode(), b"Accept: application/x-ndjson"),
        lines(f"GET /api/v1/jobs/{running.pk}".encode(), b"Accept-Encoding: gzip"),
        sent(f"/antenna/api/v2/jobs/{running.pk}/tasks/", b'{"batch_size": 4}'),
        sent(f"/antenna/api/v2/jobs/{running.pk}/result/", b'{"results": [{"result": {}}]}'),
    ]


def test_bytes_that_are_changed_on_the_way(
    sqlite_only: str, served: Served, well: None, sound: list[bytes]
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        changed = bytearray(chance.choice(sound))
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        with Raw(served.port) as raw:
            raw.send(bytes(changed))
            status = raw.status(MORE_SECONDS_MAX)
        assert status is None or status < 500, f"seed {seed}: {bytes(changed)!r}"
