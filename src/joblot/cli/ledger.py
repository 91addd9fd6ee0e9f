"""The ledger that a command works on: a database, or a server. Commands don't know which.

Importing this module imports neither Django nor an HTTP client; `open_ledger` imports one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from joblot.errors import InvalidInput
from joblot.places import DATABASE_URL

URL = "JOBLOT_URL"
PROJECT = "DJANGO_SETTINGS_MODULE"

Row = dict[str, Any]


class Ledger(Protocol):
    """What commands read and change. Answers are JSON; a change of a job answers its progress."""

    def jobs(self, *, before: int | None, limit: int, **filters: str) -> Sequence[Row]:
        """A page, the newest first; the filters are those of `JobFilters`."""

    def progress(self, job: int) -> Row: ...

    def why(self, job: int) -> Row: ...

    def summary(self, job: int) -> Row: ...

    def causes(self, job: int, *, stage: str | None, limit: int) -> Row: ...

    def items(
        self,
        job: int,
        *,
        state: str | None,
        stage: str | None,
        cause: str | None,
        keys: Sequence[str] | None,
        after: int,
        limit: int,
    ) -> tuple[Sequence[Row], int | None]:
        """A page, which may be short, and the `after` of the next one, None at the end."""

    def results(self, job: int, *, state: str | None, stage: str | None) -> Iterator[Row]: ...

    def logs(self, job: int, *, after: int, limit: int, item: int | None) -> Sequence[Row]: ...

    def events(self, job: int, *, after: int, limit: int) -> Sequence[Row]: ...

    def workers(self) -> Sequence[Row]: ...

    def revoke_worker(self, owner: int, worker: str, *, reason: str) -> int:
        """How many items the worker has given back."""

    def restore_worker(self, owner: int, worker: str, *, reason: str) -> None: ...

    def pipelines(self) -> Sequence[Row]:
        """Those that have a limit."""

    def edit_pipeline(self, pipeline: str, policy: Mapping[str, Any], *, reason: str) -> Row:
        """The pipeline as it is then."""

    def submit(self, items: Iterable[Any] | None, **asked: Any) -> Row:
        """`asked` are the other arguments of joblot's `submit`."""

    def start(self, job: int, *, reason: str) -> Row: ...

    def pause(self, job: int, *, reason: str) -> Row: ...

    def resume(self, job: int, *, reason: str) -> Row: ...

    def seal(self, job: int, *, reason: str) -> Row: ...

    def cancel(self, job: int, *, grace_seconds: float | None, reason: str) -> Row: ...

    def retry(
        self,
        job: int,
        *,
        cause: str | None,
        stage: str | None,
        keys: Sequence[str] | None,
        failed: bool,
        expected: int | None,
        config: Any,
        start_now: bool,
        reason: str,
    ) -> Row: ...

    def ask(self, act: str, given: Mapping[str, str]) -> Row:
        """What `act_on_all` would change; the filter is that of `JobFilters`."""

    def act_on_all(
        self,
        act: str,
        given: Mapping[str, str],
        *,
        expected: int,
        reason: str,
        mark: str | None = None,
        items: int | None = None,
    ) -> Row:
        """How it went, for each job. Raises NumberChanged, WrongStatus."""

    def edit(self, job: int, *, reason: str, **changes: Any) -> Row: ...

    def delete(self, job: int, *, reason: str) -> None: ...

    def audit(self, job: int) -> Row: ...

    def repair(self, job: int) -> Row: ...

    def audit_all(self) -> Iterator[Row]: ...

    def expire(self, lease: str) -> bool: ...

    def prune(self, older_than: timedelta) -> int: ...

    def subscribe(
        self, url: str, *, kinds: Sequence[str] | None, project: str | None
    ) -> tuple[str, Row]:
        """The secret of a new webhook, and the webhook."""

    def webhooks(self) -> Sequence[Row]: ...

    def end_webhook(self, webhook: int) -> Row: ...

    def deliveries(
        self, webhook: int, *, state: str | None, before: int | None, limit: int
    ) -> Sequence[Row]: ...

    def resend(self, delivery: int) -> Row: ...

    def how_to_go_on(self, job: int) -> str | None:
        """The command that continues a job of a `joblot run` with this database."""

    def lacks_items(self, job: int) -> bool:
        """True for a job whose `joblot run` may have been interrupted while it submitted."""


@contextmanager
def open_ledger(db: Path | None, url: str | None, *, create: bool = False) -> Iterator[Ledger]:
    """The database or the server that the command line or the environment names.

    `create` makes and migrates joblot's own database file. Raises InvalidInput if both are named.
    """
    server = server_of(db, url, os.environ)
    if server is not None:
        from joblot.cli.remote import RemoteLedger  # noqa: PLC0415 (slow to load)

        with closing(RemoteLedger(server)) as remote:
            yield remote
        return
    from joblot.cli import database, local_ledger  # noqa: PLC0415 (they need Django)

    (database.make_database if create else database.open_database)(db)
    yield local_ledger.LocalLedger()


def server_of(db: Path | None, url: str | None, environment: Mapping[str, str]) -> str | None:
    """The server's URL; None if a database is meant.

    An option comes before the environment. Raises InvalidInput if both a database and a server are
    named on the same level: one of them is a mistake.
    """
    if db is not None and url is not None:
        raise InvalidInput("--db and --url: expected one of them, a database or a server")
    if db is not None or url is not None:
        return url
    server = environment.get(URL)
    databases = [name for name in (PROJECT, DATABASE_URL) if environment.get(name)]
    if server and databases:
        raise InvalidInput(
            f"{URL} names a server, and {databases[0]} a database: unset one of them, or give --db "
            "or --url"
        )
    return server or None


def require_database(db: Path | None, url: str | None, what: str) -> None:
    """Refuse a command that works on a database only, if a server is named. Raises InvalidInput."""
    if server_of(db, url, os.environ) is not None:
        raise InvalidInput(
            f"{what}: not possible over HTTP; run it where the server's database is, with --db or "
            f"{DATABASE_URL}"
        )
