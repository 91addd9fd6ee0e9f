"""The printed link: once, only here, and only while its user's local token is the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.test import Client

from joblot import entry, local
from joblot.entry import make_entry
from tests.server.raw import write_token
from tests.threads import Threads
from tests.web.people import browser_like

pytestmark = pytest.mark.usefixtures("ledger_db")


def here() -> Client:
    return Client(headers={"accept": "text/html", "host": "127.0.0.1"})


def test_a_link_works_once(token_file: Path) -> None:
    secret = make_entry(token_file)
    client = here()
    answer = client.get(f"/enter/{secret}")
    assert (answer.status_code, answer["Location"]) == (302, "/jobs")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    assert client.get("/jobs").status_code == 200
    again = here()
    assert again.get(f"/enter/{secret}").status_code == 403
    assert again.get("/jobs").status_code == 302


def test_of_two_at_once_one_gets_in(token_file: Path, in_thread: Threads) -> None:
    secrets = [make_entry(token_file) for _ in range(20)]
    for secret in secrets:
        racing = [in_thread(entry.take_entry, token_file, secret) for _ in range(2)]
        assert sorted(one.result() for one in racing) == [False, True]


def test_asking_for_the_headers_uses_no_link(token_file: Path) -> None:
    secret = make_entry(token_file)
    assert here().head(f"/enter/{secret}").status_code == 405
    assert here().get(f"/enter/{secret}").status_code == 302


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example"])
def test_a_name_that_was_pointed_here_lets_nobody_in(
    token_file: Path, settings: pytest.FixtureRequest, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]  # type: ignore[attr-defined]  # as `joblot serve` has it
    secret = make_entry(token_file)
    client = here()
    assert client.get(f"/enter/{secret}", headers={"host": host}).status_code == 403
    assert client.get(f"/enter/{secret}").status_code == 302  # so it was not used
    assert client.get("/jobs", headers={"host": host}).status_code == 302  # to the sign-in page


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:8642", "[::1]:8642"])
def test_each_name_of_this_machine_is_good(
    token_file: Path, settings: pytest.FixtureRequest, host: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]  # type: ignore[attr-defined]
    client = Client(headers={"accept": "text/html", "host": host})
    assert client.get(f"/enter/{make_entry(token_file)}").status_code == 302
    assert client.get("/jobs").status_code == 200


@pytest.mark.parametrize("guess", ["x", "..", "A" * 43, "%2e%2e%2flocal.header", "é"])
def test_a_guess_is_refused(token_file: Path, guess: str) -> None:
    make_entry(token_file)
    assert here().get(f"/enter/{guess}").status_code in {403, 404}
    assert token_file.exists()


def test_an_old_link_is_refused_and_removed(token_file: Path) -> None:
    secret = make_entry(token_file)
    (file,) = (token_file.parent / entry.FOLDER).iterdir()
    old = time.time() - entry.ENTRY_SECONDS_MAX - 1
    os.utime(file, (old, old))
    make_entry(token_file)
    assert not file.exists()
    assert here().get(f"/enter/{secret}").status_code == 403


def test_only_this_user_can_make_a_link(token_file: Path) -> None:
    """Another user of the machine can't put a file into the folder; if they could, none counts."""
    secret = make_entry(token_file)
    folder = token_file.parent / entry.FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.iterdir())
    assert secret not in "".join(file.name for file in folder.iterdir())
    folder.chmod(0o777)
    assert here().get(f"/enter/{secret}").status_code == 503


def test_the_session_ends_with_the_local_token(token_file: Path) -> None:
    client = here()
    client.get(f"/enter/{make_entry(token_file)}")
    token_file.write_text(token_file.read_text().replace("ttt", "sss"))
    assert client.get("/jobs").status_code == 302


def test_a_server_without_a_local_token_has_no_links(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make_entry(token_file)
    client = here()
    monkeypatch.delenv(local.ACCEPTED)
    assert client.get(f"/enter/{secret}").status_code == 403


def test_another_servers_link_is_refused(token_file: Path, tmp_path: Path) -> None:
    secret = make_entry(write_token(tmp_path / "other"))
    assert browser_like().get(f"/enter/{secret}", headers={"host": "127.0.0.1"}).status_code == 403
