"""F6, F7: an error of a connection is retried, whichever library raises it."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import urllib3

from joblot.errors import PermanentError, RetryableError
from joblot.wire import ClaimedItem, Result
from joblot.worker import handler
from joblot.worker.retrying import Retrying
from tests.cli.conftest import Joblot, joblot, make_joblot
from tests.field_reports.rough import OfNoName
from tests.ports import kept

__all__ = ["joblot", "make_joblot"]


class Mine(requests.exceptions.ConnectTimeout):
    """Derived from one that is known."""


def _group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("unhandled errors in a TaskGroup", list(errors))


RESET = ConnectionResetError("reset by peer")
RETRIED: list[BaseException] = [
    RetryableError("r"),
    ConnectionRefusedError(),
    TimeoutError(),
    TimeoutError(),
    TimeoutError(),
    socket.gaierror(-3, "Temporary failure in name resolution"),
    http.client.RemoteDisconnected(""),
    http.client.IncompleteRead(b""),
    urllib.error.URLError(socket.gaierror(-3, "Temporary failure")),
    urllib.error.URLError(ConnectionRefusedError()),
    requests.ConnectionError(),
    requests.ConnectTimeout(),
    requests.ReadTimeout(),
    requests.exceptions.ChunkedEncodingError(),
    Mine(),
    httpx.ConnectError(""),
    httpx.ReadError(""),
    httpx.ReadTimeout(""),
    httpx.PoolTimeout(""),
    httpx.RemoteProtocolError(""),
    urllib3.exceptions.ProtocolError(),
    urllib3.exceptions.ReadTimeoutError(None, None, ""),  # type: ignore[arg-type]
    urllib3.exceptions.MaxRetryError(None, "", RESET),  # type: ignore[arg-type]
    _group(RESET),
    _group(RESET, _group(TimeoutError(), httpx.ConnectError(""))),
]
FINAL: list[BaseException] = [
    ValueError(),
    PermanentError("p"),
    OSError(28, "no space left"),
    FileNotFoundError(),
    ssl.SSLCertVerificationError(),
    urllib.error.URLError("unknown url type"),
    urllib.error.URLError(ssl.SSLCertVerificationError()),
    urllib.error.HTTPError("http://x", 404, "Not Found", None, None),  # type: ignore[arg-type]
    urllib3.exceptions.MaxRetryError(None, "", urllib3.exceptions.ResponseError()),  # type: ignore[arg-type]
    requests.HTTPError("404"),
    requests.exceptions.InvalidURL(),
    httpx.UnsupportedProtocol(""),
    httpx.InvalidURL(""),
    KeyboardInterrupt(),
    OfNoName(),
    _group(RESET, ValueError("v")),
]


def _one(call: Callable[[Any], Any], retrying: Retrying | None = None) -> Result:
    settings = {} if retrying is None else {"retrying": retrying}
    item = ClaimedItem(0, "k", None, None, 1)
    ((result,),) = handler("p", call, **settings).work([item])  # type: ignore[arg-type]
    return result


def _raised(error: BaseException, retrying: Retrying | None = None) -> Result:
    def throw(_: Any) -> None:
        raise error

    return _one(throw, retrying)


@pytest.mark.parametrize("error", RETRIED, ids=lambda error: type(error).__name__)
def test_errors_of_a_connection_are_retried(error: BaseException):
    assert _raised(error).retryable


@pytest.mark.parametrize("error", FINAL, ids=lambda error: str(type(error)))
def test_other_errors_are_final(error: BaseException):
    assert not _raised(error).retryable


def test_what_the_libraries_raise_where_nobody_listens_is_retried():
    with kept() as port:
        url = f"http://127.0.0.1:{port}/"
        for get in (requests.get, httpx.get, urllib.request.urlopen, urllib3.request):
            call = (
                (lambda _: urllib3.request("GET", url))
                if get is urllib3.request
                else (lambda _, get=get: get(url))
            )
            result = _one(call)
            assert result.retryable, result.error


def test_names_are_retried_or_not_as_asked():
    only = Retrying(on=frozenset({"KeyError"}), never=frozenset({"requests.exceptions.Timeout"}))
    assert _raised(KeyError("k"), only).retryable
    assert _raised(requests.ConnectionError(), only).retryable
    assert not _raised(requests.ReadTimeout(), only).retryable
    assert not _raised(Mine(), only).retryable
    bases = Retrying(on=frozenset({"builtins.LookupError"}), never=frozenset({"KeyError"}))
    assert _raised(IndexError(), bases).retryable
    assert not _raised(KeyError(), bases).retryable


def test_the_child_of_a_task_group_is_retried_and_the_cause_names_it():
    async def work(_: Any) -> None:
        async def child() -> None:
            raise RESET

        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    result = _one(work)
    assert result.retryable
    assert result.error is not None
    assert result.error.message.endswith("(1 sub-exception): ConnectionResetError: reset by peer")


def test_a_group_of_thousands_names_a_few():
    error = _raised(_group(*(ValueError(n) for n in range(5_000)))).error
    assert error is not None
    assert error.message.endswith("ValueError: 8; ValueError: 9; …")


FLAKY = """
from pathlib import Path


class Flaky(Exception):
    pass


def flaky(key):
    with open("tries", "a") as tries:
        tries.write(key)
    if Path("tries").read_text().count(key) < 3:
        raise (Flaky if key == "a" else ConnectionError)(key)
    return key
"""


def test_a_run_retries_by_name_also_when_it_is_resumed(joblot: Joblot):
    joblot.write("flaky.py", FLAKY)
    joblot.write("names", "a\nb\n")
    options = ["--retry-on", "Flaky", "--no-retry-on", "ConnectionError"]
    policy = ["--policy", "retry_backoff_seconds=0.01", "--workers", "1"]
    joblot("run", "flaky:flaky", "--lines", "names", *options, *policy, expect=1)
    assert (joblot.folder / "tries").read_text().count("a") == 3
    assert (joblot.folder / "tries").read_text().count("b") == 1
    joblot("retry", "1")
    joblot("run", "--resume", "1", "--workers", "1", expect=1)
    assert (joblot.folder / "tries").read_text().count("b") == 2
