"""F28: PgBouncer in transaction mode, as Debian packages it, between joblot and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from joblot.database_url import database_of
from joblot.errors import InvalidInput
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot, make_joblot
from tests.pooler import pooling, url_through

__all__ = ["make_joblot"]

MakeJoblot = Callable[..., Joblot]


@pytest.fixture
def pooled(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """The URL of a new database through PgBouncer."""
    with pooling(postgres_server, "bouncer") as folder:

        def url(name: str) -> str:
            postgres_server.create_database(name)
            return url_through(folder, name)

        yield url


def test_the_one_setting_is_named(pooled: Callable[[str], str], make_joblot: MakeJoblot):
    joblot = make_joblot(JOBLOT_DATABASE_URL=pooled("refused"))
    for command in ("doctor", "migrate"):
        done = joblot(command, expect=4)
        assert "add pgbouncer=true to the query" in done.stderr + done.stdout


@pytest.mark.slow
def test_with_it_everything_works(pooled: Callable[[str], str], make_joblot: MakeJoblot):
    joblot = make_joblot(JOBLOT_DATABASE_URL=f"{pooled('works')}&pgbouncer=true")
    joblot("migrate")
    joblot("doctor")
    joblot.write("names", "".join(f"n{n}\n" for n in range(1_000)))
    done = joblot("run", "work:upper", "--lines", "names", "--workers", "4", "--out", "out")
    assert "Succeeded, upper 1,000 of 1,000" in done.stderr
    assert len(joblot.lines("out")) == 1_000
    assert joblot.json("audit", "1")["ok"]
    joblot("migrate")


def test_the_flag_is_for_joblot_and_not_for_the_driver():
    options = database_of("postgresql://u@h/d?pgbouncer=true&sslmode=require")["OPTIONS"]
    assert options["sslmode"] == "require"
    assert options["prepare_threshold"] is None
    assert "options" not in options
    plain = database_of("postgresql://u@h/d?pgbouncer=false")["OPTIONS"]
    assert plain["prepare_threshold"] == 1
    assert "plan_cache_mode" in plain["options"]
    with pytest.raises(InvalidInput, match="expected pgbouncer=true or pgbouncer=false"):
        database_of("postgresql://u@h/d?pgbouncer=yes")
