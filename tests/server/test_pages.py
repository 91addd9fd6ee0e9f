"""The pages of `joblot serve`: its printed link, its users, its sessions after a restart."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cli.conftest import JOBLOT, Joblot
from tests.polling import eventually
from tests.server.process import Serving

PASSWORD = "tin drum 47"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/enter/\S+")


def link_of(server: Serving) -> str:
    found: re.Match[str] = eventually(lambda: LINK.search("".join(server.said)))
    return found[0]


def client_of(server: Serving, **how: Any) -> httpx.Client:
    headers = {"Accept": "text/html"}
    return httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60, **how)


def sign_in(client: httpx.Client, name: str) -> httpx.Response:
    form = client.get("/sign-in")
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    assert found
    data = {"csrfmiddlewaretoken": found[1], "name": name, "password": PASSWORD, "next": "/jobs"}
    return client.post("/sign-in", data=data)


def test_the_printed_link_opens_the_pages(joblot: Joblot) -> None:
    with Serving(joblot, token=False) as server, client_of(server, follow_redirects=True) as client:
        link = link_of(server)
        answer = client.get(link)
        assert (answer.status_code, answer.url.path) == (200, "/jobs")
        assert "No jobs yet" in answer.text
        assert httpx.get(link, timeout=60, trust_env=False).status_code == 403
        fresh = joblot("open").stdout.strip()
        assert fresh.startswith(f"{server.url}/enter/")
        with client_of(server, follow_redirects=True) as another:
            assert another.get(fresh).url.path == "/jobs"


def test_no_link_is_printed_where_others_can_read_it(joblot: Joblot) -> None:
    log = joblot.folder / "log"
    with log.open("w") as output:
        assert stat.S_IMODE(os.fstat(output.fileno()).st_mode) & 0o044
        process = subprocess.Popen(
            [JOBLOT, "serve", "--port", "0"], env=joblot.environment, stderr=output
        )
        try:
            eventually(lambda: "give others access" in log.read_text())
        finally:
            process.terminate()
            process.wait()
    assert "open the pages:       joblot open\n" in log.read_text()
    assert "/enter/" not in log.read_text()


def test_there_is_no_link_without_a_server(joblot: Joblot) -> None:
    assert "no `joblot serve` of yours is running" in joblot("open", expect=4).stderr


def test_a_session_survives_a_restart(joblot: Joblot) -> None:
    joblot("user", "add", "ana", "--password-stdin", given=f"{PASSWORD}\n")
    with Serving(joblot) as server, client_of(server) as client:
        assert sign_in(client, "ana").headers["Location"] == "/jobs"
        cookies = dict(client.cookies)
    with Serving(joblot) as server, client_of(server, cookies=cookies) as client:
        assert client.get("/jobs").status_code == 200


def test_several_processes_accept_link_and_session(joblot_on_postgres: Joblot) -> None:
    with Serving(joblot_on_postgres, "--processes", "2", token=False) as server:
        with client_of(server) as client:
            assert client.get(link_of(server)).headers["Location"] == "/jobs"
            cookies = dict(client.cookies)
        for _ in range(8):  # each a new connection, which either process may accept
            with client_of(server, cookies=cookies) as client:
                assert client.get("/jobs").status_code == 200


def test_users_are_managed_by_commands(joblot: Joblot) -> None:
    added = joblot(
        "user",
        "add",
        "ana",
        "--project",
        "a",
        "--role",
        "operator",
        "--password-stdin",
        given=f"{PASSWORD}\n",
    )
    assert added.stdout == "user ana is operator of a\n"
    joblot("user", "role", "ana", "reader", "--project", "b")
    (listed,) = joblot.json("user", "list")
    assert listed["roles"] == [
        {"project": "a", "role": "operator"},
        {"project": "b", "role": "reader"},
    ]
    assert "operator of a, reader of b" in joblot("user", "list").stdout
    joblot("user", "password", "ana", "--password-stdin", given="another 83 drum\n")
    joblot("user", "remove", "ana")
    assert joblot.json("user", "list") == []
    assert "user 'ana' does not exist" in joblot("user", "remove", "ana", expect=3).stderr


def test_a_password_is_asked_on_a_terminal_only(joblot: Joblot) -> None:
    said = joblot("user", "add", "ana", expect=2, given="").stderr
    assert "there is no terminal to ask for the password; use --password-stdin" in said


def test_servers_of_two_databases_keep_their_cookies_apart(
    make_joblot: Callable[..., Joblot], joblot: Joblot
) -> None:
    """Browsers send a cookie to each port of a host."""
    other = make_joblot(JOBLOT_DATABASE_URL="sqlite:///other.sqlite3")
    with Serving(joblot) as one, Serving(other) as two:
        names = set()
        for server in (one, two):
            with client_of(server) as client:
                names |= set(client.get("/sign-in").cookies)
        assert len(names) == 2


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/healthz", "/metrics"])
def test_the_api_reads_no_session(joblot: Joblot, path: str) -> None:
    with Serving(joblot) as server, client_of(server) as client:
        client.cookies.set("joblot_session_00000000", "x")
        answer = client.get(path)
    assert "vary" not in answer.headers or "cookie" not in answer.headers["vary"].lower()
    assert "set-cookie" not in answer.headers
