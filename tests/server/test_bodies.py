"""Request bodies: too large, compressed, slow, cut off."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from joblot.config import limits
from joblot.ledger.submit.submit import submit
from joblot.server import incoming_body
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.server.raw import Raw, request
from tests.server.served import Served

SMALL = 100_000  # bytes


@pytest.fixture
def small(configure: Callable[..., None]) -> None:
    """Lower the limit for bodies to SMALL."""
    configure(body_bytes_max=SMALL)


def report(output: Any = None) -> Any:
    """A report of one item of a new job."""
    submit("one", keys(1), pipeline="p")
    lease = worker.lease()
    result = {"item": 0, "outcome": "succeeded", "output": output}
    return {"lease": lease.token, "results": [result]}


@pytest.mark.parametrize("times", [1.01, 3, 30])
def test_too_much_is_refused_also_to_a_client_that_reads_after_sending(
    served: Served, small: None, times: float
) -> None:
    with Raw(served.port) as raw:
        raw.send(request("POST", "/api/v1/results", b"x" * int(SMALL * times)))
        answer = raw.answer()
        reply = json.loads(answer.read())
    assert answer.status == 413
    assert (reply["code"], reply["limit"]) == ("too_large", SMALL)


def test_too_much_is_refused_before_all_of_it_is_sent(served: Served, small: None) -> None:
    """A client that reads while sending need not send the rest."""
    whole = request("POST", "/api/v1/results", b"x" * (SMALL * 10))
    with Raw(served.port) as raw:
        raw.send(whole[: SMALL * 2])
        answer = raw.answer()
        assert json.loads(answer.read(int(answer.headers["Content-Length"])))["limit"] == SMALL


def test_as_much_as_may_be_is_taken(http: httpx.Client, small: None) -> None:
    given = report("x")
    fill = SMALL - len(json.dumps(given))
    given["results"][0]["output"] = "x" * (1 + fill)
    content = json.dumps(given).encode()
    assert len(content) == SMALL
    answer = http.post("results", content=content)
    assert answer.json()["receipts"][0]["receipt"] == "counted"


@pytest.mark.parametrize("members", [1, 3])
def test_a_zipped_report(http: httpx.Client, members: int) -> None:
    """Also in several gzip members, which form one text."""
    content = json.dumps(report({"text": "moth " * 1000})).encode()
    cut = len(content) // members + 1
    parts = [content[n : n + cut] for n in range(0, len(content), cut)]
    zipped = b"".join(map(gzip.compress, parts))
    answer = http.post("results", content=zipped, headers={"Content-Encoding": "gzip"})
    assert answer.json()["receipts"][0]["receipt"] == "counted"


def test_a_bomb_is_refused_by_what_it_unfolds_to(http: httpx.Client, small: None) -> None:
    bomb = gzip.compress(b"[" * 50_000_000)
    assert len(bomb) < SMALL
    answer = http.post("results", content=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["limit"]) == (413, SMALL)


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(b'{"lease": "x", "results": []}')[:-6]),
        ("gzip", gzip.compress(b"{}") + b"and more"),
        ("br", b"{}"),
        ("gzip, gzip", b"{}"),
    ],
    ids=["none", "cut off", "with a rest", "another", "twice"],
)
def test_a_coding_that_can_not_be_read(http: httpx.Client, coding: str, content: bytes) -> None:
    answer = http.post("results", content=content, headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["code"]) == (400, "not_readable")


def test_a_long_answer_is_compressed_for_clients_that_accept_it(http: httpx.Client) -> None:
    job = submit("many", keys(200), pipeline="p")
    plain = http.get(f"jobs/{job.pk}", headers={"Accept-Encoding": "identity"})
    assert plain.json()["total"] == 200
    assert "Content-Encoding" not in plain.headers
    with http.stream("GET", f"jobs?limit={limits().page_items_max}") as zipped:
        assert zipped.headers["Content-Encoding"] == "gzip"
        raw = b"".join(zipped.iter_raw())
    assert json.loads(zlib.decompress(raw, wbits=31))["jobs"][0]["total"] == 200


def test_bodies_that_trickle_hold_nobody_up(served: Served, http: httpx.Client) -> None:
    """Many more requests than the server has threads."""
    given = report()
    with ExitStack() as slow:
        trickles = [slow.enter_context(Raw(served.port)) for _ in range(50)]
        for raw in trickles:
            raw.send(request("POST", "/api/v1/results", given)[:-20])
        for raw in trickles[1:]:
            raw.send(b" ")
        assert http.post("results", json=given).json()["receipts"][0]["receipt"] == "counted"
        trickles[0].send(request("POST", "/api/v1/results", given)[-20:])
        assert trickles[0].json()["receipts"][0]["receipt"] == "duplicate"


def test_a_body_that_stands_still_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming_body.IncomingBody.pieces, "__defaults__", (0.1,))
    with Raw(served.port) as raw:
        raw.send(request("POST", "/api/v1/results", {"lease": "x", "results": []})[:-5])
        answer = raw.answer()
        assert (answer.status, answer.headers["Connection"]) == (408, "close")
        assert "send it again" in json.loads(answer.read())["detail"]


def test_a_report_that_was_cut_off_does_nothing(served: Served, http: httpx.Client) -> None:
    given = report()
    with Raw(served.port) as raw:
        raw.send(request("POST", "/api/v1/results", given)[:-1])
    assert http.get("jobs").json()["jobs"][0]["stages"][0]["succeeded"] == 0
    assert http.post("results", json=given).json()["receipts"][0]["receipt"] == "counted"
