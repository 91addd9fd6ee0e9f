"""Allowed addresses: the check covers every address of a name, and the one connected to."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput
from joblot.webhooks import post as posting
from joblot.webhooks.addresses import checked_addresses, is_public
from joblot.webhooks.post import Answer, checked_url, post
from tests.webhooks.receivers import Receiver

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
OTHERS = {
    "loopback": ["127.0.0.1", "127.1.2.3", "::1"],
    "private": ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "carriers' own": ["100.64.0.1"],
    "nobody's": ["0.0.0.0", "::", "240.0.0.1", "255.255.255.255", "192.0.2.1", "2001:db8::1"],
    "many": ["224.0.0.1", "239.1.1.1", "ff02::1", "ff0e::1"],
    "old": ["fec0::1", "::127.0.0.1"],
    "an IPv4 address within": [
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2001:0:7f00:1::1",
    ],
}
REFUSED = [address for addresses in OTHERS.values() for address in addresses]
# Forms that getaddrinfo accepts: a number, hexadecimal, fewer parts.
DISGUISED = ["2130706433", "0x7f000001", "127.1", "localhost"]

Names = Callable[[dict[str, list[list[str]]]], list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A name server: `names({"a.test": [[first answer], [later ones]]})` returns its queries."""
    asked: list[str] = []

    def serve(known: dict[str, list[list[str]]]) -> list[str]:
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name not in known:
                return real(host, port, *args, **more)
            answers = known[name]
            asked.append(name)
            if not answers:
                raise socket.gaierror("Name or service not known")
            found = answers[min(len(asked), len(answers)) - 1]
            return [one for address in found for one in real(address, port, *args, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return serve


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", REFUSED)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("host", [*REFUSED[:3], "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"])
def test_a_webhook_to_such_an_address_is_refused_when_it_is_made(
    host: str, configure: Callable[..., None]
) -> None:
    url = f"https://{host}/" if ":" not in host or "[" in host else f"https://[{host}]/"
    configure(webhook_private_allowed=False)
    with pytest.raises(InvalidInput, match="WEBHOOK_PRIVATE_ALLOWED"):
        checked_url(url)
    configure()
    assert checked_url(url) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", *DISGUISED])
def test_such_an_address_is_not_called_however_it_is_written(
    host: str, receiver: Receiver, configure: Callable[..., None]
) -> None:
    url = f"http://{host}:{receiver.port}/"
    assert post(url, {}, b"{}").good
    configure(webhook_private_allowed=False)
    answer = post(url, {}, b"{}")
    assert answer.status is None
    assert "expected a public address" in answer.error
    assert len(receiver.got) == 1


def test_a_name_is_refused_for_any_of_its_addresses(
    names: Names, configure: Callable[..., None]
) -> None:
    """Otherwise it would be chance which one is called."""
    configure(webhook_private_allowed=False)
    names({"both.test": [["8.8.8.8", "10.0.0.1"]], "good.test": [["8.8.8.8", "2606:4700::1111"]]})
    with pytest.raises(InvalidInput, match=r"both.test resolves to 10.0.0.1"):
        checked_addresses("both.test", 443)
    assert checked_addresses("good.test", 443) == ["8.8.8.8", "2606:4700::1111"]


def test_the_address_that_was_checked_is_the_one_that_is_called(
    names: Names, make_receiver: Callable[..., Receiver]
) -> None:
    """A name server that would answer differently the second time is asked only once."""
    checked, other = make_receiver("127.0.0.1"), make_receiver("::1")
    asked = names({"rebound.test": [["127.0.0.1"], ["::1"]]})
    assert post(f"http://rebound.test:{checked.port}/", {}, b"{}").good
    assert asked == ["rebound.test"]
    assert (len(checked.got), len(other.got)) == (1, 0)
    assert checked.got[0].headers["Host"] == f"rebound.test:{checked.port}"


def test_the_next_address_is_tried_where_one_does_not_answer(
    names: Names, receiver: Receiver
) -> None:
    names({"two.test": [["::1", "127.0.0.1"]]})  # nothing listens on the first one
    assert post(f"http://two.test:{receiver.port}/", {}, b"{}").good


def test_an_address_that_swallows_packets_leaves_time_for_the_next(
    names: Names, receiver: Receiver, configure: Callable[..., None]
) -> None:
    """With a full queue of unaccepted connections, Linux drops further packets."""
    configure(webhook_seconds_max=8)  # half of it for the first
    names({"two.test": [["127.0.0.2", "127.0.0.1"]]})
    with socket.create_server(("127.0.0.2", receiver.port), backlog=0), ExitStack() as queue:
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", receiver.port))
        assert post(f"http://two.test:{receiver.port}/", {}, b"{}").good


def test_an_ipv6_receiver_is_called(make_receiver: Callable[..., Receiver]) -> None:
    receiver = make_receiver("::1")
    assert post(receiver.url, {}, b"{}").good
    assert receiver.got[0].path == "/hook?from=joblot"
    assert receiver.got[0].headers["Host"] == f"[::1]:{receiver.port}"


def test_a_name_that_is_not_there_is_reported(names: Names) -> None:
    names({"nowhere.test": []})
    answer = post("http://nowhere.test/", {}, b"{}")
    assert answer.status is None
    assert "nowhere.test could not be resolved" in answer.error


@pytest.fixture
def secure(make_receiver: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """A server with a trusted certificate for hooks.test."""
    pem = Path(__file__).parent / "hooks.test.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    posting._trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return make_receiver(tls=context)


def test_tls_is_with_the_name_and_not_with_the_address(names: Names, secure: Receiver) -> None:
    names({"hooks.test": [["127.0.0.1"]]})
    assert post(f"https://hooks.test:{secure.port}/", {}, b"{}") == Answer(204)


def test_a_certificate_of_another_name_is_refused(names: Names, secure: Receiver) -> None:
    names({"other.test": [["127.0.0.1"]]})
    for host in ("other.test", "127.0.0.1"):
        answer = post(f"https://{host}:{secure.port}/", {}, b"{}")
        assert answer.status is None
        assert "certificate verify failed" in answer.error
    assert secure.got == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.test/path",
        "ftp://hooks.test/",
        "file:///etc/passwd",
        "https:///path",
        "https://user:password@hooks.test/",
        "https://hooks.test:99999/",
        "https://hooks.test:0/",
        "https://0177.0.0.1/",
        "https://hooks.test/\n",
        "https://hooks.test/ü",
        "https://hooks.test/" + "x" * 2_000,
        7,
    ],
)
def test_what_is_no_url_is_refused(url: Any) -> None:
    with pytest.raises(InvalidInput, match="url: expected https"):
        checked_url(url)
