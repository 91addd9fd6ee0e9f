"""Items sent as a stream of lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from joblot.config import limits
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.polling import eventually
from tests.server.raw import AUTHORIZED, Raw
from tests.server.served import Served

KNOWN = [f"{name}: {value}" for name, value in AUTHORIZED.items()]
NDJSON = "application/x-ndjson"
Bad = tuple[bytes, int, str]


@pytest.fixture
def small_blocks(configure: Callable[..., None]) -> None:
    """A stream of a few kilobytes has many blocks, and a block many chunks."""
    configure(add_chunk_bytes=2_000, add_chunk_items=10, line_bytes_max=5_000)


def line(n: int, **more: Any) -> bytes:
    return json.dumps({"key": f"k{n}", "payload": {"n": n}, **more}).encode() + b"\n"


def lines(count: int) -> list[bytes]:
    return [line(n) for n in range(count)]


def send(http: httpx.Client, job: Job, content: Any, **headers: str) -> tuple[int, Any]:
    given = {"Content-Type": NDJSON} | {k.replace("_", "-"): v for k, v in headers.items()}
    answer = http.post(f"jobs/{job.pk}/items", content=content, headers=given)
    return answer.status_code, answer.json()


def total(job: Job) -> int:
    return int(progress(job.pk)["total"])


def numbers(job: Job) -> list[int]:
    return [item["payload"]["n"] for item in items(job.pk, limit=1000)]


def head(job: Job, *more: str) -> bytes:
    path = f"/api/v1/jobs/{job.pk}/items"
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {NDJSON}",
        *KNOWN,
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_stream_without_a_length(http: httpx.Client, job: Job, small_blocks: None) -> None:
    def pieces() -> Iterator[bytes]:
        whole = b"".join(lines(500))
        for at in range(0, len(whole), 777):  # never where a line ends
            yield whole[at : at + 777]

    assert send(http, job, pieces()) == (200, {"added": 500, "total": 500})
    assert numbers(job) == list(range(500))


def test_the_last_line_needs_no_newline_and_empty_ones_are_skipped(
    http: httpx.Client, job: Job
) -> None:
    content = b"\n" + line(0) + b"  \r\n" + line(1).strip()
    assert send(http, job, content) == (200, {"added": 2, "total": 2})
    assert send(http, job, b"") == (200, {"added": 0, "total": 2})


@pytest.mark.parametrize("after", [10, 100])
def test_a_stream_that_is_cut_keeps_its_whole_lines_and_is_sent_again(
    served: Served, http: httpx.Client, job: Job, small_blocks: None, after: int
) -> None:
    with Raw(served.port) as raw:
        raw.send(head(job, "Transfer-Encoding: chunked"))
        raw.send(chunk(b"".join(lines(after)) + line(after)[:-5]))
    eventually(lambda: total(job) == after)
    assert numbers(job) == list(range(after))
    assert send(http, job, b"".join(lines(300))) == (200, {"added": 300 - after, "total": 300})
    assert numbers(job) == list(range(300))


def test_a_cut_in_the_middle_of_a_number_takes_no_half_line(
    served: Served, http: httpx.Client, job: Job
) -> None:
    """`{"key": …}` is cut to what is still valid JSON: a line is complete only with its newline."""
    with Raw(served.port) as raw:
        raw.send(head(job, "Content-Length: 1000") + b'"k0"\n"k1"\n"k2"')
    eventually(lambda: total(job) == 2)


@pytest.mark.parametrize("members", [1, 4])
def test_a_zipped_stream(http: httpx.Client, job: Job, small_blocks: None, members: int) -> None:
    given = lines(400)
    parts = [b"".join(given[n::members]) for n in range(members)]
    zipped = b"".join(map(gzip.compress, parts))
    assert send(http, job, zipped, Content_Encoding="gzip") == (200, {"added": 400, "total": 400})


def test_a_compressed_stream_that_breaks_off_is_reported(
    http: httpx.Client, job: Job, small_blocks: None
) -> None:
    zipped = gzip.compress(b"".join(lines(400)))
    status, reply = send(http, job, zipped[:-9], Content_Encoding="gzip")
    assert (status, reply["code"]) == (400, "not_readable")
    assert reply["lines_before"] == reply["added"] == total(job)
    assert send(http, job, zipped, Content_Encoding="gzip")[1]["total"] == 400


@pytest.mark.parametrize(
    "bad",
    [
        (b"{broken\n", 400, "expected JSON"),
        (b'{"key": "k", "payload": NaN}\n', 400, "NaN"),
        (b'{"key": 7}\n', 422, "key: expected text"),
        (b'{"key": "k", "more": 1}\n', 422, "'more'"),
        (b'"\\ud800"\n', 422, "surrogates"),
        (b"\xff\xfe\n", 400, "expected JSON"),
        (b'"' + b"x" * 5_000 + b'"\n', 413, "5000 bytes"),
        (b'"' + b"x" * 900_000 + b'"\n', 413, "5000 bytes"),
    ],
    ids=["broken", "nan", "key", "more", "surrogate", "bytes", "long", "endless"],
)
def test_a_bad_line_is_reported_by_its_number(
    http: httpx.Client, job: Job, small_blocks: None, bad: Bad
) -> None:
    """Items before its chunk are stored; sent again without the line, all others are too."""
    line, status, what = bad
    given, at = lines(300), 250  # in the middle of a chunk of a later block
    found, reply = send(http, job, b"".join([*given[:at], line, *given[at:]]))
    assert found == status, reply
    assert reply["detail"].startswith(f"line {at + 1}: "), reply
    assert what in reply["detail"]
    assert reply["job_id"] == job.pk
    assert at - 10 <= total(job) <= at
    assert reply["lines_before"] == reply["added"] <= total(job)
    assert send(http, job, b"".join(given))[1]["total"] == 300


def test_a_bad_line_in_a_later_block_says_what_those_before_it_added(
    http: httpx.Client, job: Job, small_blocks: None
) -> None:
    def pieces() -> Iterator[bytes]:
        yield line(0) + b"".join(lines(100))
        eventually(lambda: total(job) == 100)
        yield b"{broken\n" + b"".join(lines(100))

    status, reply = send(http, job, pieces())
    assert (status, reply["lines_before"], reply["added"]) == (400, 101, 100)
    assert reply["detail"].startswith("line 102: ")


def test_a_refusal_reaches_a_client_that_only_sends(
    served: Served, job: Job, small_blocks: None
) -> None:
    """An invalid line at the beginning, and much after it, all sent before anything is read."""
    content = b"{broken\n" + b"".join(lines(20_000))
    with Raw(served.port) as raw:
        raw.send(head(job, f"Content-Length: {len(content)}") + content)
        answer = raw.answer()
        reply = json.loads(answer.read(int(answer.headers["Content-Length"])))
    assert (answer.status, reply["detail"][:6]) == (400, "line 1")


def test_the_same_key_with_another_payload_is_reported(http: httpx.Client, job: Job) -> None:
    status, reply = send(http, job, line(1) + line(1, payload=2))
    assert (status, reply["code"]) == (409, "key_conflict")


def test_a_sealed_job_takes_no_stream(http: httpx.Client) -> None:
    job = submit("sealed", ["a"], pipeline="p")
    status, reply = send(http, job, b"".join(lines(5)), Accept_Encoding="gzip")
    assert (status, reply["code"]) == (409, "wrong_status")
    assert (reply["lines_before"], reply["added"]) == (0, 0)


def test_lines_are_no_body_of_anything_else(http: httpx.Client, job: Job) -> None:
    """A claim's body is read as JSON, whatever its declared type."""
    submit("one", ["a"], pipeline="q")
    content = json.dumps({"pipelines": ["q"]}).encode()
    answer = http.post("claims", content=content, headers={"Content-Type": NDJSON})
    assert answer.status_code == 200
    assert len(answer.json()["leases"]) == 1


def test_a_hundred_thousand_items_in_and_out(
    sqlite_only: str, http: httpx.Client, job: Job
) -> None:
    """More than any other body may contain."""
    many, http.timeout = 100_000, httpx.Timeout(60)
    content = b"".join(b'"%06d-%s"\n' % (n, b"x" * 40) for n in range(many))
    assert len(content) > limits().add_chunk_bytes
    assert send(http, job, content)[1] == {"added": many, "total": many}
    with http.stream("GET", f"jobs/{job.pk}/items", headers={"Accept": NDJSON}) as answer:
        assert sum(piece.count(b"\n") for piece in answer.iter_bytes()) == many
