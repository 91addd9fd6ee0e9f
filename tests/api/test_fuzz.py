"""Fuzzes the API: it always answers, never with 500, and counts every valid result."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from joblot.identity.tokens import issue
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease
from joblot.states import LeaseState, Receipt
from tests.hostile import JSON
from tests.ledger import worker
from tests.ledger.conftest import exact, own_hooks
from tests.ledger.worker import keys

__all__ = ["exact", "own_hooks"]

EXAMPLES = 20
DEEP = 100_000
RECURSION_LIMIT = 1_000  # Python's default

# Python's json accepts invalid JSON: NaN, infinities, lone surrogates, huge numbers.
texts = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "k" * 600, "", "null", "'; --"]
)
numbers = (
    st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.sampled_from([10**400, -(2**63), 2**63, 2**31, 1e308, float("nan"), float("inf")])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=12,
)
# Values that Python can't write, or not nest so deeply: each is inserted into the body as text.
hostile = st.sampled_from([f"hostile {number}" for number in range(len(JSON))])
results = st.fixed_dictionaries(
    {},
    optional={
        "item": st.integers(0, 3) | values,
        "outcome": st.sampled_from(["succeeded", "failed"]) | values,
        "output": values | hostile,
        "metrics": st.dictionaries(texts, st.integers(0, 9) | values | hostile, max_size=3)
        | values,
        "error": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(["type", "message", "traceback"], values | hostile)
        )
        | values,
        "retryable": st.booleans() | values | hostile,
        "more": values | hostile,
    },
)
broken = st.sampled_from(
    [
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"lease": "x", "results": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b"9" * 5_000,
        b'"\xff"',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"NaN",
        b'{"lease": 1, "lease": "x", "results": []}',
        json.dumps({"lease": "x", "results": [{}]}).encode("utf-16"),
    ]
)
octets = st.binary(max_size=60) | broken


class Caller:
    """Sends bytes, with every right.

    They are answered as by a server: in a thread, whose stack holds no frames of the test, and with
    Python's default recursion limit. Hypothesis raises the limit, which would hide recursion.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        secret, _ = issue("all", ["admin"])
        self._client = Client(raise_request_exception=False)
        self._client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        """Return the answer, which must be a problem unless it is a success."""
        answer: Any = self._thread.submit(self._answer, method, path, body, headers).result()
        assert answer.status_code < 500, answer.content
        if answer.status_code >= 400:
            reply = json.loads(answer.content)
            assert (reply["status"], bool(reply["code"])) == (answer.status_code, True)
            assert reply["detail"].encode()
            assert answer["Content-Type"] == "application/problem+json"
        return answer

    def _answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(RECURSION_LIMIT)
        try:
            return self._client.generic(
                method, path, body, content_type="application/json", headers=headers
            )
        finally:
            sys.setrecursionlimit(before)

    def post(self, path: str, given: Any, **headers: str) -> Any:
        body = json.dumps(given).encode()
        for number, one in enumerate(JSON):
            body = body.replace(b'"hostile %d"' % number, one.encoded)
        return self.ask("POST", f"/api/v1/{path}", body, **headers)


@pytest.fixture
def caller(ledger_db: str, tmp_path: Any, settings: Any) -> Iterator[Caller]:
    settings.MEDIA_ROOT = str(tmp_path)
    with ThreadPoolExecutor(1) as thread:
        yield Caller(thread)
        thread.submit(connections.close_all).result()


@pytest.fixture
def one_caller(sqlite_only: str, caller: Caller) -> Caller:
    """For requests that end before they reach a database."""
    return caller


def check(ask: Callable[..., None]) -> None:
    """Run a property with a seed that is printed."""
    chosen = random.randrange(2**32)
    print(f"seed {chosen}")  # noqa: T201
    every = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seed(chosen)(every(ask))()


def test_any_results_get_receipts_in_their_order(caller: Caller) -> None:
    """Invalid results are rejected one by one and do not affect valid ones."""
    job = submit("fuzz", keys(4), pipeline="p", policy={"lease_seconds": 3600})
    lease = worker.lease()

    @given(st.lists(results | values, max_size=6))
    @example([{"item": 0, "outcome": "failed", "error": {"message": "\x00\ud800" * 3}}])
    @example([{"item": 0, "outcome": "failed", "error": {"type": [], "message": {}}}])
    @example([{"item": 0, "outcome": "succeeded", "output": "\x00"}])
    @example([{"item": 0, "outcome": "succeeded", "metrics": {"a\x00": 1}}])
    @example([{"item": 0, "outcome": "succeeded", "metrics": {"a": 10**400}}])
    @example([{"item": True, "outcome": "succeeded"}])
    def ask(given: list[Any]) -> None:
        answer = caller.post("results", {"lease": lease.token, "results": given})
        if answer.status_code != 200:
            assert answer.status_code == 400, "what Python calls JSON, and is none"
            return
        receipts = answer.json()["receipts"]
        for result, reply in zip(given, receipts, strict=True):
            item = result.get("item") if isinstance(result, dict) else None
            known = isinstance(item, int) and not isinstance(item, bool)
            assert reply["item"] == (item if known else None)
            assert reply["receipt"] in set(Receipt)
            if reply["receipt"] == "rejected":
                assert reply["reason"]

    check(ask)
    for number in worker.numbers(lease):
        worker.receipts(lease, {"item": number, "outcome": "succeeded"})
    assert progress(job.pk)["stages"][0]["succeeded"] + progress(job.pk)["stages"][0]["failed"] == 4


PATHS = ["results", "claims", "jobs", "jobs/{job}/items", "jobs/{job}/cancel", "webhooks"]


@pytest.mark.parametrize("path", PATHS)
def test_any_bytes_for_a_body(one_caller: Caller, path: str) -> None:
    job = submit("fuzz", keys(2), pipeline="p", seal=False)

    @given(octets | st.builds(lambda value: json.dumps(value).encode(), values))
    def ask(body: bytes) -> None:
        one_caller.ask("POST", f"/api/v1/{path.format(job=job.pk)}", body)

    check(ask)


def body_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with these fields, each of them missing, wrong or valid."""
    return st.fixed_dictionaries({}, optional={name: of | values for name, of in fields.items()})


BODIES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "claims": body_of(
        {
            "pipelines": st.lists(texts, max_size=3) | st.just(["p"]),
            "limit": numbers,
            "wait_seconds": numbers,
            "job": numbers,
            "idempotency_key": texts,
            "about": st.dictionaries(texts, values | hostile, max_size=2),
        }
    ),
    "jobs": body_of(
        {
            "name": texts,
            "project": texts,
            "pipeline": texts,
            "stages": st.lists(body_of({"name": texts, "pipeline": texts}), max_size=2),
            "items": st.lists(
                texts | body_of({"key": texts, "payload": values | hostile}), max_size=3
            ),
            "config": values | hostile,
            "policy": st.dictionaries(
                st.sampled_from(["failures_max", "lease_seconds", "failure_threshold"]),
                values | hostile,
            ),
            "priority": numbers,
            "idempotency_key": texts,
        }
    ),
    "jobs/{job}/cancel": body_of({"grace_seconds": numbers}),
    "jobs/{job}/retry": body_of({"run": numbers, "cause": hostile, "expected": numbers}),
    "jobs/{job}/items": body_of(
        {
            "items": st.lists(
                texts | body_of({"key": texts, "payload": values | hostile}), max_size=3
            )
        }
    ),
    "leases/{lease}/renew": body_of({"seconds": numbers}),
    "leases/{lease}/printed": body_of(
        {"printed": st.lists(body_of({"item": numbers, "text": texts}), max_size=3)}
    ),
}


@pytest.mark.parametrize("path", BODIES)
def test_any_fields_in_a_body(caller: Caller, path: str) -> None:
    job = submit("fuzz", keys(200), pipeline="p", seal=False)
    lease = worker.lease(limit=1)

    @given(BODIES[path])
    def ask(body: dict[str, Any]) -> None:
        caller.post(path.format(job=job.pk, lease=lease.token), body)

    check(ask)


QUERIES = {
    "jobs": ["project", "status", "before", "limit", "q", "since", "until", "sort", "after"],
    "jobs/counts": ["status", "pipeline", "q"],
    "jobs/next": ["pipeline", "job"],
    "jobs/{job}/items": ["state", "stage", "after", "limit", "worker", "attempt", "range", "q"],
    "jobs/{job}/throughput": ["window"],
    "jobs/{job}/events": ["after", "limit"],
    "jobs/{job}/logs": ["after", "limit"],
}
quoted = st.builds(quote_from_bytes, st.binary(max_size=20)) | st.sampled_from(
    ["%00", "a%00b", "%ff", "%", "%zz", "%ed%a0%80", "1e400", "-1", "9" * 30, "%D9%A3", "1_0", "+"]
)


@pytest.mark.parametrize("path", QUERIES)
def test_any_query(caller: Caller, path: str) -> None:
    job = submit("fuzz", keys(2), pipeline="p")

    @given(st.lists(st.tuples(st.sampled_from(QUERIES[path]), quoted), max_size=4))
    def ask(query: list[tuple[str, str]]) -> None:
        text = "&".join(f"{name}={value}" for name, value in query)
        caller.ask("GET", f"/api/v1/{path.format(job=job.pk)}?{text}")

    check(ask)


def test_any_path(one_caller: Caller) -> None:
    parts = quoted | st.sampled_from(["jobs", "leases", "renew", "items", "1", "..", "claims"])

    @given(st.lists(parts, max_size=5), st.sampled_from(["GET", "POST", "DELETE", "PUT"]))
    @example([""], "GET")
    @example(["leases", "%00", "renew"], "POST")
    @example(["leases", "%ff", "release"], "POST")
    @example(["jobs", "%D9%A3"], "GET")
    def ask(path: list[str], method: str) -> None:
        one_caller.ask(method, f"/api/v1/{'/'.join(path)}", b"{}")

    check(ask)


header_texts = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
HEADERS = [
    "Authorization",
    "Joblot-Worker",
    "Idempotency-Key",
    "Last-Event-ID",
    "Accept",
    "Accept-Encoding",
    "Content-Encoding",
    "Content-Type",
    "Host",
    "Origin",
    "X-Forwarded-For",
    "Cookie",
]


@pytest.mark.parametrize("name", HEADERS)
def test_any_header(one_caller: Caller, name: str) -> None:
    job = submit("fuzz", keys(2), pipeline="p", seal=False)
    asked = [
        ("GET", f"jobs/{job.pk}/events", b""),
        ("POST", "jobs", b'{"name": "n", "pipeline": "none"}'),
        ("POST", f"jobs/{job.pk}/items", b'"a"\n'),
        ("POST", "claims", b'{"pipelines": ["none"]}'),
    ]

    @given(header_texts | st.sampled_from(["", "x" * 300, "1", "a\x00b", "gzip", "9" * 30, "-1"]))
    def ask(value: str) -> None:
        for method, path, body in asked:
            one_caller.ask(method, f"/api/v1/{path}", body, **{name: value})

    check(ask)


def test_whatever_was_taken_can_be_claimed_and_read(caller: Caller) -> None:
    """A value accepted by one endpoint is readable by all others, or fails only its own item."""

    @given(st.lists(values | hostile, min_size=1, max_size=5), values | hostile)
    def ask(payloads: list[Any], config: Any) -> None:
        items = [{"key": f"k{n}", "payload": one} for n, one in enumerate(payloads)]
        body = {"name": "fuzz", "pipeline": "p", "items": items, "config": config}
        made = caller.post("jobs", body)
        leases = caller.post("claims", {"pipelines": ["p"]}, **{"Joblot-Worker": "w"}).json()[
            "leases"
        ]
        for lease in leases:
            done = [
                {"item": item["id"], "outcome": "succeeded", "output": item["payload"]}
                for item in lease["items"]
            ]
            reply = caller.post("results", {"lease": lease["token"], "results": done}).json()
            assert {one["receipt"] for one in reply["receipts"]} <= {"counted"}
        if made.status_code == 201:
            job = made.json()["id"]
            listed = caller.ask("GET", f"/api/v1/jobs/{job}/items").json()["items"]
            assert {item["state"] for item in listed} <= {"succeeded"}

    for number in range(len(JSON)):  # random choices would seldom pick an accepted one
        ask = example(["good", f"hostile {number}"], None)(ask)
    check(ask)


def test_what_was_fuzzed_is_as_exact_as_before(caller: Caller) -> None:
    """A lease is unchanged by invalid requests of its holder."""
    job = submit("fuzz", keys(3), pipeline="p")
    lease = worker.lease()
    for body in (b"", b"[]", b"{}", b'{"lease": null}', b"[" * DEEP):
        assert caller.ask("POST", "/api/v1/results", body).status_code in (400, 422)
    assert Lease.objects.get(token=lease.token).state == LeaseState.LIVE
    assert Job.objects.get(pk=job.pk).status == "STARTED"
    assert worker.succeed(lease) == ["counted"] * 3
