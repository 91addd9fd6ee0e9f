"""A PostgreSQL server and a standby that follows it by streaming replication."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import psycopg

from joblot.testing.postgres import PORT, USER, PostgresServer
from joblot.testing.postgres_programs import Owner, find_programs, run_as
from tests import databases
from tests.polling import eventually


class Pair:
    """`primary` has begun; its standby is copied from it and follows inside the block."""

    def __init__(self, primary: PostgresServer) -> None:
        self.primary = primary
        self.standby = PostgresServer(primary.home / "standby")

    def __enter__(self) -> Self:
        owner = Owner.choose()
        program = find_programs(owner, self.primary.home).folder / "pg_basebackup"
        copied_to = ["-D", str(self.standby.data_dir), "--write-recovery-conf"]
        from_primary = ["-h", str(self.primary.home), "-p", str(PORT), "-U", USER]
        how = ["--checkpoint=fast", "--wal-method=stream"]
        run_as(owner, [str(program), *copied_to, *from_primary, *how], self.primary.home)
        self.standby.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.standby.close()

    def url(self, database: str) -> str:
        """Of whichever of the two accepts writes."""
        hosts = f"{self.primary.home},{self.standby.home}"
        given = {"host": hosts, "port": f"{PORT},{PORT}", "target_session_attrs": "read-write"}
        return f"postgresql://{USER}@/{database}?{urlencode(given, quote_via=quote)}"

    def wait_for_standby_at_commit(self) -> None:
        """From now on a commit is confirmed once it is on the standby's disk, too."""
        ask(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        ask(self.primary, "SELECT pg_reload_conf()")
        state = "SELECT sync_state = 'sync' FROM pg_stat_replication"
        eventually(lambda: ask(self.primary, state) == [(True,)])

    def until_caught_up(self) -> None:
        ((written,),) = ask(self.primary, "SELECT pg_current_wal_flush_lsn()::text")
        seen = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        eventually(lambda: ask(self.standby, seen) == [(True,)])

    def settled_on_standby(self, job: int) -> set[int]:
        """The numbers of the items, as of all that it has received. The primary is gone."""
        assert not self.primary.running
        done = "SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"
        eventually(lambda: ask(self.standby, done) == [(True,)])
        outcomes = f"SELECT number FROM joblot_outcome WHERE job_id = {job}"
        found = ask(self.standby, outcomes, "joblot")
        return {number for (number,) in found}

    def promote(self) -> None:
        """The standby accepts writes; this process uses it in place of the primary."""
        assert not self.primary.running, "two primaries would disagree"
        assert ask(self.standby, "SELECT pg_promote()") == [(True,)]
        databases.point("postgres", self.standby.django_settings("joblot"))


def ask(server: PostgresServer, question: str, database: str = "postgres") -> list[Any]:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        found = connection.execute(question.encode())
        return found.fetchall() if found.description else []
