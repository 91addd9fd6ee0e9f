"""Which messages a receiver accepts."""

from __future__ import annotations

import base64
import json
import time

import pytest

from joblot.errors import InvalidInput, NotAuthenticated, NotReadable
from joblot.webhooks.receiver import verify
from joblot.webhooks.signature import new_secret, sign

BODY = json.dumps({"type": "job.finished", "timestamp": "2030", "data": {"job": 7}}).encode()


def headers(secret: str, body: bytes = BODY, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    return {
        "webhook-id": "m1",
        "webhook-timestamp": str(at),
        "webhook-signature": sign(secret, "m1", at, body),
    }


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """A test vector of the Standard Webhooks libraries."""
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_whsec_and_256_bits_and_never_the_same() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_a_genuine_message_is_read() -> None:
    secret = new_secret()
    message = verify(secret, headers(secret), BODY)
    assert (message.id, message.type, message.at) == ("m1", "job.finished", "2030")
    assert message.data == {"job": 7}


def test_headers_are_found_in_any_case() -> None:
    secret = new_secret()
    given = {name.title(): value for name, value in headers(secret).items()}
    assert verify(secret, given, BODY).id == "m1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", ["", "1", "v1,AAAA", "ü", "v1,ü", "9" * 40, "-5"])
def test_a_changed_header_is_refused(name: str, value: str) -> None:
    secret = new_secret()
    with pytest.raises(NotAuthenticated):
        verify(secret, headers(secret) | {name: value}, BODY)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing_is_refused(name: str) -> None:
    secret = new_secret()
    given = headers(secret)
    del given[name]
    with pytest.raises(NotAuthenticated, match=name):
        verify(secret, given, BODY)


def test_a_changed_body_is_refused_also_by_a_space() -> None:
    secret = new_secret()
    for body in (b"", BODY + b" ", BODY.replace(b"7", b"8")):
        with pytest.raises(NotAuthenticated):
            verify(secret, headers(secret), body)


def test_another_secret_is_refused() -> None:
    with pytest.raises(NotAuthenticated):
        verify(new_secret(), headers(new_secret()), BODY)


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is replaced, messages are signed with both."""
    old, new = new_secret(), new_secret()
    given = headers(new)
    both = f"v1a,xyz {headers(old)['webhook-signature']} {given['webhook-signature']} v2,abc"
    assert verify(new, given | {"webhook-signature": both}, BODY).id == "m1"


def test_a_signature_of_another_kind_does_not_count() -> None:
    secret = new_secret()
    given = headers(secret)
    other = given["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(NotAuthenticated):
        verify(secret, given | {"webhook-signature": other}, BODY)


@pytest.mark.parametrize("seconds", [-400, 400])
def test_an_old_message_and_one_of_the_future_are_refused(seconds: int) -> None:
    secret = new_secret()
    given = headers(secret, at=int(time.time()) + seconds)
    with pytest.raises(NotAuthenticated, match="300 s"):
        verify(secret, given, BODY)
    assert verify(secret, given, BODY, tolerance_seconds=500).id == "m1"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "wrong"])
def test_what_is_no_secret_is_reported(secret: str) -> None:
    with pytest.raises(InvalidInput, match="whsec_"):
        verify(secret, headers(new_secret()), BODY)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b"\xff", b"[" * 100_000])
def test_a_genuine_body_that_is_no_message_is_reported(body: bytes) -> None:
    secret = new_secret()
    with pytest.raises(NotReadable):
        verify(secret, headers(secret, body), body)
