"""A caller without a token is refused everywhere, whatever the tokens or the proxy in front."""

from __future__ import annotations

import os
import re
import shutil
import socket
import socketserver
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from joblot import local
from joblot.api.problems import of_path
from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.ports import kept
from tests.server.process import Serving
from tests.server.raw import write_token

METHODS = ("GET", "POST", "DELETE")  # each path accepts one of them
MORE_METHODS = ("PUT", "PATCH", "HEAD", "OPTIONS")
REFUSED, NO_SUCH_METHOD = 401, 405
OPEN = {"healthz", "readyz", "api/v1/openapi.json"}  # docs/how-to/server.md says so
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

# What a stranger may send, or his page in a user's browser, or a proxy on his behalf.
GUISES: dict[str, dict[str, str]] = {
    "nothing": {},
    "a foreign host": {"Host": "evil.example"},
    "a foreign page": {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a page of ours": {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"},
    "a form": {"Content-Type": "text/plain"},
    "an address of this machine": {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    "no token": {"Authorization": "Bearer"},
    "a guess": {"Authorization": f"Bearer joblot_local_{'A' * 43}"},
    "a name": {"Authorization": "Basic bG9jYWw6"},
}


def paths(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    """Every path, with numbers filled in, but not the catch-all, nor the pages.

    The pages are walked with a stranger's session in `tests/web/test_sight.py`.
    """
    for one in patterns:
        if getattr(one, "namespace", None) == "joblot_web":
            continue
        route = before + re.sub(r"\(\?P<\w+>.*?\)|<[^>]+>", "1", str(one.pattern))
        if isinstance(one, URLResolver):
            yield from paths(one.url_patterns, route)
        elif one.callback is not of_path and one.name != "api-root":
            yield route.replace("^", "").removesuffix("/?$")


PATHS = sorted(set(paths(get_resolver("joblot.server.urls").url_patterns)))


@contextmanager
def nginx(port: int, folder: Path) -> Iterator[str]:
    """A proxy configured as in the first lines of every nginx tutorial."""
    with kept() as own:
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\n"
            "events {} http { access_log off; client_body_temp_path body; proxy_temp_path proxy;\n"
            "fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
            f"server {{ listen 127.0.0.1:{own}; location / {{\n"
            f"proxy_pass http://127.0.0.1:{port}; }} }} }}"
        )
        command = [str(NGINX), "-p", str(folder), "-c", "nginx.conf"]
        proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{own}"
            eventually(lambda: answers(url))
            yield url
        finally:
            proxy.terminate()
            proxy.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


class Hands(socketserver.BaseRequestHandler):
    """Forwards every byte of a connection, both ways."""

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.to)) as behind:  # type: ignore[attr-defined]
            back = threading.Thread(target=copied, args=(behind, self.request))
            back.start()
            copied(self.request, behind)
            back.join()


def copied(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65_536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


@contextmanager
def plain(port: int, folder: Path) -> Iterator[str]:
    """A proxy that adds no header about its clients."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hands) as proxy:
        proxy.to = port  # type: ignore[attr-defined]
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}"
        finally:
            proxy.shutdown()
            thread.join()


@contextmanager
def none(port: int, folder: Path) -> Iterator[str]:
    yield f"http://127.0.0.1:{port}"


Proxy = Callable[[int, Path], AbstractContextManager[str]]


@pytest.fixture(
    params=[
        none,
        plain,
        pytest.param(nginx, marks=pytest.mark.skipif(NGINX is None, reason="no nginx here")),
    ]
)
def by(request: pytest.FixtureRequest) -> Proxy:
    return request.param  # type: ignore[no-any-return]


def let_in(http: httpx.Client, path: str, guise: dict[str, str]) -> list[str]:
    """The methods with which a stranger got more than a refusal."""
    ways = METHODS if guise else METHODS + MORE_METHODS
    answered = {way: http.request(way, f"/{path}", headers=guise).status_code for way in ways}
    expected = {REFUSED, NO_SUCH_METHOD}
    through = [f"{way} {path}: {code}" for way, code in answered.items() if code not in expected]
    if REFUSED not in answered.values():
        through.append(f"{path}: nothing was refused, so nothing was asked")
    return through


def everywhere(url: str, guises: dict[str, dict[str, str]]) -> list[str]:
    with httpx.Client(base_url=url, verify=False, trust_env=False, timeout=60) as http:
        return [
            f"{found} ({name})"
            for name, guise in guises.items()
            for path in PATHS
            if path not in OPEN
            for found in let_in(http, path, guise)
        ]


def test_all_paths_are_known() -> None:
    """The paths come from the URL resolver, so every mounted path is tried."""
    assert set(PATHS) > OPEN
    assert {"metrics", "api/v1/jobs/1/items", "antenna/api/v2/jobs/1/result"} < set(PATHS)


def changed(joblot: Joblot, statement: str) -> int:
    path = joblot.folder / "data" / "joblot" / "joblot.sqlite3"
    with closing(sqlite3.connect(path)) as file, file:
        return file.execute(statement).rowcount


def test_a_stranger_is_refused_everywhere(joblot: Joblot, by: Proxy) -> None:
    """From the first start, and after the last token has expired or was revoked or deleted."""
    with Serving(joblot) as server, by(server.port, joblot.folder) as url:
        assert httpx.get(f"{url}/readyz", timeout=60, trust_env=False).json() == {"ok": True}
        assert everywhere(url, GUISES) == [], "there was never a token"
        nothing = {"nothing": {"Accept": "*/*"}}
        joblot("token", "create", "first", "--scope", "admin", "--expires", "1d")
        assert everywhere(url, nothing) == [], "there is a token"
        assert changed(joblot, "UPDATE joblot_token SET expires_at = '2001-01-01 00:00:00'") == 1
        assert everywhere(url, nothing) == [], "the last token has expired"
        (token,) = joblot.json("token", "list")
        joblot("token", "revoke", token["id"])
        assert everywhere(url, nothing) == [], "the last token was revoked"
        assert changed(joblot, "DELETE FROM joblot_token") == 1
        assert everywhere(url, nothing) == [], "the last token was deleted"
        assert server.http.get("jobs").status_code == 200, "this machine's user is let in all along"


def test_a_local_token_that_others_may_have_read_lets_nobody_in(joblot: Joblot) -> None:
    """The server still starts, and accepts the next local token without a restart."""
    path = write_token(joblot.folder / "data" / "joblot")
    path.chmod(0o644)
    with Serving(joblot, token=False) as server:
        assert server.http.get("jobs").status_code == 401
        eventually(lambda: [one for one in server.said if "mode 0644" in one and "--renew" in one])
        joblot("token", "local", "--renew")
        assert server.http.get("jobs").status_code == 401, "the one that may be known"
        value = path.read_text().partition(": ")[2].strip()
        assert server.http.get("jobs", headers={"Authorization": value}).status_code == 200


def test_the_socket_asks_for_a_token_too(joblot: Joblot) -> None:
    """A proxy that connects there is not authenticated by that."""
    with Serving(joblot) as server:
        own = joblot.folder / "data/joblot/servers" / f"{server.port}-127.0.0.1.sock"
        with (
            ExitStack() as held,
            httpx.HTTPTransport(uds=local.short(own, held), verify=False) as transport,
            httpx.Client(base_url="http://x", transport=transport) as http,
        ):
            assert http.get("/readyz").json() == {"ok": True}
            assert [
                found for path in ("metrics", "api/v1/jobs") for found in let_in(http, path, {})
            ] == []
        server.stop()
        assert server.exit_code() == 0
        assert not own.exists()
