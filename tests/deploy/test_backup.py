"""A backup in the middle of a job: restored, the job goes on from there and ends exact."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from joblot.ledger.lease import expire
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.audit import audit
from joblot.ledger.read.health import health
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.testing.postgres import PostgresServer
from joblot.testing.postgres_programs import Owner, find_programs
from joblot.wire import success
from tests import databases
from tests.ledger.worker import TWO_STAGES, drain, keys, lease, receipts, succeed

RESTORED = "restored"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The folder of pg_dump and pg_restore."""
    folder = find_programs(Owner.choose(), tmp_path).folder
    if shutil.which("pg_dump", path=str(folder)) is None:
        pytest.skip(f"there is no pg_dump in {folder}")
    return folder


@pytest.fixture
def restored(postgres_only: str, postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database on the same server."""
    yield postgres_server.create_database(RESTORED)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {RESTORED}")


def test_a_job_that_is_restored_in_its_middle_ends_exact(
    postgres_server: PostgresServer, restored: str, tools: Path, tmp_path: Path
) -> None:
    job = submit("backed up", keys(120), stages=TWO_STAGES, policy={"failures_max": 1}).pk
    for _ in range(3):
        succeed(lease("p"))
    held, expired = lease("p"), lease("p")
    before = progress(job)["stages"]

    dump = tmp_path / "joblot.dump"
    url = postgres_server.url("joblot")
    subprocess.run([str(tools / "pg_dump"), "-Fc", "--file", str(dump), url], check=True)
    lost = receipts(held, *(success(item.id, "after the backup") for item in held.items))
    assert set(lost) == {"counted"}, "committed, and lost with the database"
    subprocess.run(
        [str(tools / "pg_restore"), "--exit-on-error", "--dbname", restored, str(dump)], check=True
    )

    undo = databases.point("postgres", postgres_server.django_settings(RESTORED))
    try:
        assert all(check["ok"] for check in health() if check["check"] != "sweep"), "guards too"
        assert progress(job)["stages"] == before, "as it was when the backup began"
        assert audit(job)["ok"]
        # A worker that has no receipt posts its results again; so does one whose receipt is lost.
        again = receipts(held, *(success(item.id, "after the backup") for item in held.items))
        assert set(again) == {"counted"}
        assert expire(expired.token), "its worker is not heard of again"
        sweep()
        drain("p", "q")
        state = progress(job)
        assert state["status"] == "SUCCESS"
        assert [stage["succeeded"] for stage in state["stages"]] == [120, 120]
        assert audit(job)["ok"]
    finally:
        databases.point("postgres", undo)
