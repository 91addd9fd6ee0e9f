"""The address of NATS: several servers, and credentials that appear nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.worker.nats_address import NATS, NATS_CREDS, NatsAddress, given_nats


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("nats://host", {"servers": ["nats://host:4222"]}),
        ("nats://a,tls://b:5", {"servers": ["nats://a:4222", "tls://b:5"]}),
        ("nats://[::1]:5/ , nats://b", {"servers": ["nats://[::1]:5", "nats://b:4222"]}),
        ("wss://host", {"servers": ["wss://host"]}),
        (
            "nats://us%40er:p%3Aw@a,nats://us%40er:p%3Aw@b",
            {
                "servers": ["nats://a:4222", "nats://b:4222"],
                "user": "us@er",
                "password": "p:w",
            },
        ),
        (
            "nats://a,nats://to%2Fken@b",
            {"servers": ["nats://a:4222", "nats://b:4222"], "token": "to/ken"},
        ),
    ],
)
def test_what_the_client_gets(text: str, options: dict[str, Any]) -> None:
    assert NatsAddress.parsed(text).options == options


def test_a_file_of_credentials(tmp_path: Path) -> None:
    file = tmp_path / "user.creds"
    file.touch()
    assert NatsAddress.parsed("nats://a", str(file)).options["user_credentials"] == str(file)
    with pytest.raises(InvalidInput, match="leave out the credentials in the address"):
        NatsAddress.parsed("nats://user:secret@a", str(file))
    file.unlink()
    with pytest.raises(InvalidInput, match="can't be read"):
        NatsAddress.parsed("nats://a", str(file))


def test_no_credentials_are_shown() -> None:
    for text in ("nats://user:secret@host", "nats://secret@host"):
        address = NatsAddress.parsed(text)
        assert "secret" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "given",
    [
        "host:4222",
        "http://host:4222",
        "nats://",
        "nats://a,",
        "nats://a:x",
        "nats://a/b",
        "nats://a:0",
    ],
)
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(InvalidInput, match="nats://host:4222"):
        NatsAddress.parsed(given)


@pytest.mark.parametrize(
    "given", ["nats://u:secret@a,nats://v:secret@b", "nats://u:secret@a,ws://b"]
)
def test_what_does_not_fit_together(given: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        NatsAddress.parsed(given)
    assert "secret" not in str(caught.value)


def test_it_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(NATS, raising=False)
    monkeypatch.setenv(NATS_CREDS, str(tmp_path))
    assert given_nats(None, None) == ("", "")
    monkeypatch.setenv(NATS, "nats://there:1")
    assert given_nats(None, None) == ("nats://there:1", str(tmp_path))
    monkeypatch.delenv(NATS_CREDS)
    assert given_nats("tls://here", None) == ("tls://here", "")
