"""PgBouncer in transaction mode, as Debian packages it, in front of a test's PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from joblot.testing.postgres import USER, PostgresServer
from tests.polling import eventually

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


@contextmanager
def pooling(server: PostgresServer, name: str) -> Iterator[Path]:
    """It runs inside the block; the folder of its socket, `name` in the server's home."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    folder = server.home / name
    folder.mkdir(mode=0o755)
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(home=server.home, port=PORT, folder=folder, user=USER))
    owner = server.home.stat().st_uid
    if os.geteuid() == 0:  # PgBouncer refuses to run as root
        for one in (folder, config):
            os.chown(one, owner, -1)
    process = subprocess.Popen(
        [PROGRAM, "-q", str(config)],
        user=owner if os.geteuid() == 0 else None,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually((folder / f".s.PGSQL.{PORT}").exists)
        yield folder
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def url_through(folder: Path, database: str) -> str:
    return f"postgresql://any@/{database}?host={folder}&port={PORT}"
