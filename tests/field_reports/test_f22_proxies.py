"""F22: variables for proxies, in every state that they are found in."""

from __future__ import annotations

import re
import subprocess

import pytest

from joblot.errors import InvalidInput
from joblot.worker import HttpClient
from joblot.worker.proxy import proxy_of
from tests.cli.conftest import JOBLOT, Joblot, joblot, make_joblot
from tests.ports import kept

__all__ = ["joblot", "make_joblot"]

FAR = "http://jobs.example:8000"
NEAR = ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "http://127.9.9.9"]
NAMES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
MALFORMED = [
    "garbage://x",
    "http://",
    "http://[::1",
    "http://host:port",
    "ftp://proxy.example",
    "\x07",
]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["socks5://127.0.0.1:9", *MALFORMED])
def test_a_malformed_one_is_named_and_harms_no_server_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    for url in NEAR:
        assert proxy_of(url) is None
        HttpClient(url, "token")
    with pytest.raises(InvalidInput, match=f"^{name}: ") as refused:
        HttpClient(FAR, "token")
    assert "\n" not in str(refused.value)


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy.example")
    with pytest.raises(InvalidInput) as refused:
        HttpClient(FAR, "token")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["http://proxy.example:3128", "proxy.example:3128"])
def test_a_good_one_is_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    proxy = proxy_of(FAR)
    assert proxy is not None
    assert (proxy.url.host, proxy.url.port) == ("proxy.example", 3128)
    assert (proxy_of("https://jobs.example") is None) == ("http_" in name.lower())


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("entries", "exempt"),
    [
        ("localhost,[::1]", []),
        ("fe80::/10", ["fe80::1"]),
        ("localhost,[fe80::1]", ["fe80::1"]),
        ("10.0.0.0/8, .example", ["jobs.example", "10.1.2.3"]),
        ("jobs.example", ["jobs.example"]),
        ("*.example", ["jobs.example"]),
        ("EXAMPLE", ["jobs.example"]),
        ("http://jobs.example", ["jobs.example"]),
        ("jobs.example:8000,10.1.2.3:9", ["jobs.example"]),
        ("[fe80::1]:8000", ["fe80::1"]),
        ("*", ["jobs.example", "fe80::1", "10.1.2.3"]),
        ("ample, ,]:[,::/x,10.0.0.0/99", []),
    ],
)
def test_what_is_reached_directly(
    monkeypatch: pytest.MonkeyPatch, name: str, entries: str, exempt: list[str]
):
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv(name, entries)
    hosts = ["jobs.example", "fe80::1", "10.1.2.3"]
    urls = {
        host: f"http://[{host}]:8000" if ":" in host else f"http://{host}:8000" for host in hosts
    }
    assert [host for host in hosts if proxy_of(urls[host]) is None] == exempt
    HttpClient(urls["fe80::1"], "token")


def test_a_worker_says_it_in_one_line(joblot: Joblot):
    options = ["worker", "work:upper", "--pipeline", "p", "--url", FAR, "--token", "t"]
    refused = joblot(*options, expect=2, ALL_PROXY="socks5://127.0.0.1:9")
    (line,) = refused.stderr.splitlines()
    assert re.match("joblot: ALL_PROXY: a SOCKS proxy needs the package socksio", line)


def test_a_worker_reaches_a_server_of_this_machine_past_a_proxy(joblot: Joblot):
    with kept() as port, kept() as proxy:
        worker = subprocess.Popen(
            [
                JOBLOT,
                "worker",
                "work:upper",
                "--pipeline",
                "p",
                "--url",
                f"http://127.0.0.1:{port}",
                "--token",
                "t",
            ],
            cwd=joblot.folder,
            env=joblot.environment
            | {"HTTP_PROXY": f"http://127.0.0.1:{proxy}", "NO_PROXY": "localhost,[::1]"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert worker.stderr is not None
        said = "joblot worker: serving p at "  # before or after it has found no server there
        assert any(line.startswith(said) for line in worker.stderr)
        worker.terminate()
        worker.communicate(timeout=60)
    assert worker.returncode == 0
