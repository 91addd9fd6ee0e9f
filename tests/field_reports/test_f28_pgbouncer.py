"""F28: PgBouncer in transaction mode, as Debian packages it, between joblot and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from joblot.database_url import database_of
from joblot.errors import InvalidInput
from joblot.testing.postgres import PostgresServer
from tests.cli.conftest import Joblot, make_joblot
from tests.polling import eventually

__all__ = ["make_joblot"]

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
PORT = 6432  # names the socket; nothing listens on the network
CONFIG = """
[databases]
* = host={home} port=5432 user={user}
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = {folder}/log
"""

MakeJoblot = Callable[..., Joblot]


@contextmanager
def _running(server: PostgresServer, folder: Path) -> Iterator[None]:
    with psycopg.connect(server.url()) as direct:
        user = direct.info.user
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(home=server.home, port=PORT, folder=folder, user=user))
    owner = server.home.stat().st_uid
    if os.geteuid() == 0:  # PgBouncer refuses to run as root
        for one in (folder, config):
            os.chown(one, owner, -1)
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "-q", str(config)],
        user=owner if os.geteuid() == 0 else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually((folder / f".s.PGSQL.{PORT}").exists)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def pooled(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """The URL of a new database through PgBouncer."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    folder = postgres_server.home / "bouncer"
    folder.mkdir(mode=0o755)

    def url(name: str) -> str:
        postgres_server.create_database(name)
        return f"postgresql://any@/{name}?host={folder}&port={PORT}"

    with _running(postgres_server, folder):
        yield url
    shutil.rmtree(folder)


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
