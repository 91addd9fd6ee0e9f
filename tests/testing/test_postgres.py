"""The temporary server starts, survives a crash, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from joblot.errors import Unavailable
from joblot.testing.postgres import PostgresServer
from tests.polling import eventually
from tests.proc import alive

ORPHAN = """
import sys, time
from joblot.testing.postgres import PostgresServer
server = PostgresServer(durable=False)
server.start()
print(server.home, (server.data_dir / "postmaster.pid").read_text().split()[0], flush=True)
time.sleep(600)
"""


def test_what_is_committed_survives_an_immediate_stop():
    with PostgresServer() as server:
        url = server.create_database("crashed")
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        server.restart("immediate")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
        home = server.home
    assert not home.exists()


def test_a_killed_process_leaves_no_server_and_no_folder():
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        home, pid = parent.stdout.readline().split()
        assert alive(int(pid))
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not alive(int(pid)))
    eventually(lambda: not Path(home).exists())


def test_a_socket_fits_below_a_folder_for_temporary_files_whose_path_is_long(monkeypatch, tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with PostgresServer(durable=False) as server:
        assert server.running


def test_it_starts_where_only_we_may_enter_the_folder_for_temporary_files(monkeypatch, tmp_path):
    """If started by root, it runs as another user."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with PostgresServer(durable=False) as server:
        assert server.running


def test_missing_programs_are_reported_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("JOBLOT_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(Unavailable, match=r"expected PostgreSQL 15 .* found .* Install it"):
        PostgresServer().start()


def test_a_server_that_can_not_start_shows_its_log():
    with pytest.raises(Unavailable, match="shared_buffers"):
        PostgresServer(durable=False, options={"shared_buffers": "nonsense"}).start()
