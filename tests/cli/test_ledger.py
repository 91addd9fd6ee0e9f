"""Which ledger a command works on: a database or a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from joblot.cli.ledger import server_of
from joblot.errors import InvalidInput

DB, SERVER, OTHER = Path("jobs.sqlite3"), "http://a:1", "http://b:2"


@pytest.mark.parametrize(
    ("db", "url", "environment", "server"),
    [
        (None, None, {}, None),
        (None, SERVER, {}, SERVER),
        (DB, None, {}, None),
        (None, None, {"JOBLOT_URL": OTHER}, OTHER),
        (None, None, {"JOBLOT_DATABASE_URL": "sqlite:///a"}, None),
        (None, None, {"DJANGO_SETTINGS_MODULE": "site"}, None),
        (None, None, {"JOBLOT_URL": "", "JOBLOT_DATABASE_URL": "sqlite:///a"}, None),
        (None, SERVER, {"JOBLOT_URL": OTHER}, SERVER),
        (None, SERVER, {"JOBLOT_DATABASE_URL": "sqlite:///a"}, SERVER),
        (DB, None, {"JOBLOT_URL": OTHER, "JOBLOT_DATABASE_URL": "sqlite:///a"}, None),
    ],
)
def test_an_option_comes_before_the_environment(
    db: Path | None, url: str | None, environment: dict[str, str], server: str | None
):
    assert server_of(db, url, environment) == server


@pytest.mark.parametrize(
    ("db", "url", "environment"),
    [
        (DB, SERVER, {}),
        (None, None, {"JOBLOT_URL": SERVER, "JOBLOT_DATABASE_URL": "sqlite:///a"}),
        (None, None, {"JOBLOT_URL": SERVER, "DJANGO_SETTINGS_MODULE": "site"}),
    ],
)
def test_a_database_and_a_server_are_one_too_many(
    db: Path | None, url: str | None, environment: dict[str, str]
):
    with pytest.raises(InvalidInput, match="server"):
        server_of(db, url, environment)
