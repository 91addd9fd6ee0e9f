"""The local token and socket: found by this user's programs, and by no other user's."""

from __future__ import annotations

import gc
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from joblot import local
from joblot.errors import NotAuthenticated, Unavailable
from joblot.ledger.submit.submit import submit
from joblot.worker import HttpClient
from tests.server.served import Served


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "joblot"


@pytest.fixture
def header(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the token that this process's servers accept."""
    monkeypatch.setenv(local.ACCEPTED, str(local.make_token()))
    return local.token_file()


@pytest.fixture
def served(ledger_db: str, header: Path) -> Iterator[Served]:
    with Served() as served:
        yield served


@pytest.fixture
def offered(ledger_db: str, header: Path) -> Iterator[Served]:
    """With the socket that `joblot serve` makes."""
    served = Served()
    own, path = local.listen("127.0.0.1", served.port)
    served.sockets.append(own)
    with served:
        yield served
    path.unlink()


def claim(client: HttpClient) -> list[str]:
    claimed = client.claim(["p"], 10, job=None, worker="w", idempotency_key="k")
    return [item.key for lease in claimed.leases for item in lease.items]


def test_the_token_is_made_once_and_for_its_owner_only(data: Path) -> None:
    path = local.make_token()
    assert (path, stat.S_IMODE(path.stat().st_mode)) == (data / "local.header", 0o600)
    token = local.read_token(path)
    assert path.read_text() == f"Authorization: Bearer {token}\n"
    assert local.read_token(local.make_token()) == token
    assert local.read_token(local.make_token(renew=True)) != token


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.chmod(0o640), "mode 0640, expected 0600"),
        (lambda path: path.write_text("Authorization: Bearer mine\n"), "not what joblot wrote"),
        (lambda path: path.replace(path.with_name("x")).chmod(0o600), "can't be read"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "can't be read"),
    ],
    ids=["wide", "another", "gone", "a link"],
)
def test_a_token_that_is_not_safe_is_used_by_nobody(header: Path, spoil, said: str) -> None:
    path = local.make_token()
    spoil(path)
    with pytest.raises(Unavailable, match=said):
        local.read_token(path)


def test_a_server_takes_the_token_that_is_in_the_file_now(served: Served, header: Path) -> None:
    def status() -> int:
        answer = httpx.get(f"{served.url}/api/v1/jobs", headers=known, timeout=60, trust_env=False)
        return answer.status_code

    known = {"Authorization": f"Bearer {local.read_token(header)}"}
    assert status() == 200
    local.make_token(renew=True)
    assert status() == 401
    known = {"Authorization": f"Bearer {local.read_token(header)}"}
    assert status() == 200
    header.chmod(0o644)
    assert status() == 401, "others may have read it"


def test_the_local_token_of_a_project_is_none(
    ledger_db: str, header: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `joblot serve` accepts it: a project that mounts the API under its own server has not
    given access to this machine's user.
    """
    monkeypatch.delenv(local.ACCEPTED)
    token = local.read_token(header)
    with (
        Served() as served,
        HttpClient(served.url, token) as client,
        pytest.raises(NotAuthenticated),
    ):
        claim(client)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_worker_without_a_token_is_let_in_through_the_socket(offered: Served, host: str) -> None:
    submit("night", ["a", "b"], pipeline="p")
    with HttpClient(f"http://{host}:{offered.port}", own=True) as client:
        assert claim(client) == ["a", "b"]
        local.make_token(renew=True)
        assert claim(client) == ["a", "b"], "the same lease again, by the new token"


# httpcore does not close a Unix socket that failed to connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("left", [False, True], ids=["no socket", "the socket of a killed server"])
def test_another_listener_on_the_port_of_a_server_gets_nothing(header: Path, left: bool) -> None:
    """Any user may listen there: before the server starts, after it ends, or beside it on ::1."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        if left:
            own, _ = local.listen("127.0.0.1", port)
            own.close()
        with HttpClient(f"http://127.0.0.1:{port}", own=True) as client, pytest.raises(Unavailable):
            claim(client)
        foreign.setblocking(False)
        with pytest.raises(BlockingIOError):  # no client has connected
            foreign.accept()
    gc.collect()  # the warning about that socket, here and not in a later test


def test_a_folder_that_others_may_enter_is_not_trusted(offered: Served, data: Path) -> None:
    (data / "servers").chmod(0o755)
    with (
        HttpClient(offered.url, own=True) as client,
        pytest.raises(Unavailable, match="expected 0700"),
    ):
        claim(client)


def test_a_server_at_every_address_is_found_and_a_nearer_one_first() -> None:
    every, _ = local.listen("0.0.0.0", 8642)
    assert str(local.find_socket("http://127.0.0.1:8642")).endswith("8642-0.0.0.0.sock")
    near, _ = local.listen("127.0.0.1", 8642)
    assert str(local.find_socket("http://localhost:8642")).endswith("8642-127.0.0.1.sock")
    assert str(local.find_socket("http://127.0.0.2:8642")).endswith("8642-0.0.0.0.sock")
    assert local.find_socket("http://127.0.0.1:8643") is None
    every.close()
    near.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1", True),
        ("http://127.3.2.1", True),
        ("http://[::1]:8642", True),
        ("https://localhost", False),  # a proxy with a certificate, not joblot
        ("http://localhost.evil.example", False),
        ("http://10.0.0.1:8642", False),
    ],
)
def test_which_urls_are_of_this_machine(url: str, expected: bool) -> None:
    assert local.is_local(url) == expected


def test_a_path_too_long_for_a_socket_is_reached_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ("x" * 120)))
    own, path = local.listen("127.0.0.1", 8642)
    assert len(os.fsencode(path)) > 108
    with own, ExitStack() as held, socket.socket(socket.AF_UNIX) as client:
        client.connect(local.short(path, held))
        own.accept()[0].close()
