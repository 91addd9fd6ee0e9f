"""The worker's verbs over HTTP: requests, answers, and network faults."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from joblot.errors import (
    InvalidInput,
    JoblotError,
    LeaseEnded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NumberChanged,
    TooLarge,
    TooManyRequests,
    Unavailable,
)
from joblot.identity.tokens import issue
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Lease as LeaseRow
from joblot.states import Receipt
from joblot.wire import GrantedLease, failure, success
from joblot.worker.connection import GZIP_BYTES_MIN
from joblot.worker.http import HttpClient
from joblot.worker.shapes import error_of
from tests.ports import kept
from tests.worker.conftest import numbered
from tests.worker.server import Server


def _claim(client: HttpClient, limit: int = 16, **more: Any) -> GrantedLease:
    (lease,) = client.claim(
        ["p"], limit, job=None, worker="", idempotency_key="once", **more
    ).leases
    return lease


def test_the_verbs_do_over_http_what_they_do_in_the_ledger(ledger_db: str, client: HttpClient):
    job = submit("j", numbered(3), pipeline="p", config={"a": 1}, policy={"lease_seconds": 40})
    lease = _claim(client, 2)
    assert (lease.job, lease.stage, lease.config, lease.lease_seconds) == (
        job.pk,
        "p",
        {"a": 1},
        40,
    )
    assert [(item.id, item.key, item.payload, item.attempt) for item in lease.items] == [
        (0, "k0", 0, 1),
        (1, "k1", 1, 1),
    ]
    assert client.renew(lease.token) > lease.expires_at
    results = [success(0, {"é": 1}, {"n": 2}), failure(1, "Busy", "x", retryable=True)]
    assert [one.receipt for one in client.report(lease.token, results)] == [
        Receipt.COUNTED,
        Receipt.REQUEUED,
    ]
    client.release(lease.token)
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"], stage["metrics"], stage["ready"]) == (1, {"n": 2}, 2)
    assert LeaseRow.objects.get().worker == "host/worker"


def test_asking_again_with_the_same_key_gives_the_same_lease(
    ledger_db: str, server: Server, client: HttpClient
):
    submit("j", numbered(3), pipeline="p")
    server.network.lose_answers["claims"] = 1
    with pytest.raises(Unavailable):
        _claim(client)
    assert len(_claim(client).items) == 3
    assert LeaseRow.objects.count() == 1


def test_no_work_says_why_and_when_to_ask_again(ledger_db: str, client: HttpClient):
    answer = client.claim(["q"], 1, job=None, worker="", idempotency_key="k")
    assert answer.leases == ()
    assert answer.reason
    assert answer.retry_after_seconds > 0


def test_errors_are_those_of_the_ledger(ledger_db: str, server: Server, client: HttpClient):
    job = submit("j", numbered(3), pipeline="p")
    lease = _claim(client)
    cancel(job.pk, grace_seconds=0)
    with pytest.raises(LeaseEnded, match="stop working"):
        client.renew(lease.token)
    with pytest.raises(NotFound):
        client.renew("0" * 8)
    with pytest.raises(InvalidInput):
        client.claim([], 1, job=None, worker="", idempotency_key="k")
    with (
        HttpClient(server.url, "joblot_wrong") as stranger,
        pytest.raises(NotAuthenticated),
    ):
        _claim(stranger)
    reader, _ = issue("reader", ["read"])
    with HttpClient(server.url, reader) as other, pytest.raises(NotAllowed):
        _claim(other)


def test_more_than_is_taken_at_once_is_too_large(ledger_db: str, server: Server, configure: Any):
    secret, _ = issue("worker", ["work"], body_bytes_max=2_000)
    with (
        HttpClient(server.url, secret) as client,
        pytest.raises(TooLarge) as caught,
    ):
        client.report("x", [success(0, "y" * 3_000)])
    assert caught.value.limit == 2_000
    configure(results_per_report_max=2)
    with HttpClient(server.url, secret) as client, pytest.raises(TooLarge) as caught:
        client.report("x", [success(n) for n in range(3)])
    assert caught.value.limit == 2


def _ask_twice(client: HttpClient) -> None:
    for _ in range(2):
        client.claim(["p"], 1, job=None, worker="", idempotency_key="k")


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(ledger_db: str, server: Server):
    secret, _ = issue("worker", ["work"], requests_per_minute_max=1)
    with HttpClient(server.url, secret) as client, pytest.raises(TooManyRequests) as caught:
        _ask_twice(client)
    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= 60


def test_a_large_body_is_sent_gzipped_and_a_small_one_is_not(
    ledger_db: str, server: Server, client: HttpClient
):
    submit("j", numbered(2), pipeline="p")
    lease = _claim(client)
    (receipt,) = client.report(lease.token, [success(0, "x" * 10 * GZIP_BYTES_MIN)])
    assert receipt.receipt is Receipt.COUNTED
    (_, small, _), (_, large, size) = server.network.seen
    assert "Content-Encoding" not in small
    assert large["Content-Encoding"] == "gzip"
    assert size < GZIP_BYTES_MIN


@pytest.mark.parametrize("status", [404, 401, 403, 400, 500, 502, 503, 504, 302])
def test_what_a_proxy_says_is_no_refusal(ledger_db: str, server: Server, client, status: int):
    """Only joblot can refuse a result; a proxy without its server may also respond with 404."""
    head = f"HTTP/1.0 {status} X\r\nContent-Type: text/html\r\nRetry-After: 7\r\n\r\n<html>"
    server.network.refuse["results"] = head.encode()
    with pytest.raises(Unavailable) as caught:
        client.report("x", [success(0)])
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"receipts": []}', b'{"receipts": [{"item": 0, "receipt": "?"}]}'],
)
def test_an_answer_that_is_not_joblots_is_no_receipt(ledger_db: str, server: Server, client, body):
    server.network.refuse["results"] = b"HTTP/1.0 200 OK\r\n\r\n" + body
    with pytest.raises(Unavailable, match="expected"):
        client.report("x", [success(0)])


def test_too_large_is_too_large_also_from_a_proxy(ledger_db: str, server: Server, client):
    server.network.body_bytes_max = 100
    with pytest.raises(TooLarge):
        client.report("x", [success(0, "y" * 200)])


def test_a_date_for_when_to_come_back_costs_only_the_hint(ledger_db: str, server: Server, client):
    server.network.refuse["renew"] = (
        b"HTTP/1.0 503 X\r\nRetry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n\r\n"
    )
    with pytest.raises(Unavailable) as caught:
        client.renew("x")
    assert caught.value.retry_after_seconds is None


@pytest.fixture
def swallowing() -> Iterator[str]:
    """The address of a socket that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_network_that_swallows_everything_is_not_waited_for(swallowing: str):
    with HttpClient(swallowing, call_seconds_max=0.1) as client:
        for call in (
            lambda: client.renew("x"),
            lambda: client.report("x", [success(0)]),
            lambda: client.release("x"),
            lambda: _claim(client, wait_seconds=0.1),
        ):
            with pytest.raises(Unavailable, match="ReadTimeout"):
                call()


def test_a_call_waits_less_long_than_a_lease_holds(
    ledger_db: str, server: Server, client: HttpClient
):
    submit("j", numbered(2), pipeline="p", policy={"lease_seconds": 6.0})
    lease = _claim(client)
    assert client.call_seconds <= lease.lease_seconds / 4


def test_nobody_there_is_unavailable():
    with (
        kept() as port,
        HttpClient(f"http://127.0.0.1:{port}") as client,
        pytest.raises(Unavailable),
    ):
        client.renew("x")


SECRET = "joblot_secret_text"


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET} x", f"{SECRET}é", f"{SECRET}\x00"])
def test_a_token_that_cannot_be_one_is_refused_without_showing_it(token: str):
    with pytest.raises(InvalidInput) as caught:
        HttpClient("http://127.0.0.1:1", token)
    assert SECRET not in str(caught.value)


def test_the_token_is_in_no_message_and_no_log(
    ledger_db: str, server: Server, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    with HttpClient(server.url, SECRET) as client:
        with pytest.raises(NotAuthenticated) as caught:
            client.renew("x")
        server.stop()
        with pytest.raises(Unavailable) as away:
            client.renew("x")
    assert SECRET not in caplog.text + str(caught.value) + str(away.value)
    server.start()


@pytest.mark.parametrize(
    "url",
    ["", "host:80", "ftp://host", "http://", "http://u:p@host", "http://host/?a=b", "http://h:x"],
)
def test_an_address_that_cannot_be_a_servers_is_reported(url: str):
    with pytest.raises(InvalidInput, match="url: expected"):
        HttpClient(url)


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"code": "lease_ended", "detail": "gone"}, LeaseEnded),
        ({"code": "not_migrated"}, Unavailable),
        ({"code": "something new"}, Unavailable),
        ({"code": None}, Unavailable),
        (None, Unavailable),
    ],
)
def test_a_code_is_an_error_and_an_unknown_one_is_no_reason_to_give_up(
    problem: dict[str, Any] | None, kind: type[JoblotError]
):
    assert isinstance(error_of(409, problem, None), kind)


def test_the_error_of_a_changed_number_has_both_numbers():
    problem = {"code": "number_changed", "detail": "look again", "expected": 3, "found": 2}
    error = error_of(409, problem, None)
    assert isinstance(error, NumberChanged)
    assert (str(error), error.expected, error.found) == ("look again", 3, 2)
