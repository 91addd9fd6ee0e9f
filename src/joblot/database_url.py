"""Entries of Django's DATABASES: a URL, or an SQLite file, with the options that joblot needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from joblot import private
from joblot.errors import InvalidInput, Unavailable
from joblot.places import DATABASE_URL, absolute

SQLITE = "joblot.sqlite3"  # the engine
SQLITE_BEGINS = b"SQLite format 3\0"  # the header of every file that is not empty
BUSY_SECONDS_MAX = 20.0  # how long SQLite waits for another writer
CONNECT_SECONDS_MAX = 10
SQLITE_PRAGMAS = (
    # FULL: a reported commit survives a power failure; with NORMAL in WAL mode it might not.
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
)
# A server's waits end before a lease does, so that a waiting worker still holds its lease.
STATEMENT_SECONDS_MAX = 120
WAITS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
SILENCE_SLACK_SECONDS = 5  # beyond a statement's limit, after which the server counts as lost
TCP_TIMEOUTS = {"keepalives_idle": 15, "keepalives_interval": 5, "tcp_user_timeout": 30_000}
# Settling is one statement; planned once, it costs two thirds of what planning it each time does.
# And not compiled: estimates of statements that find items by number grow with the job, what they
# read does not.
PLANS = "-c plan_cache_mode=force_generic_plan -c jit=off"
POOLED = "pgbouncer"  # in the query of a URL


def database_of(url: str, statement_seconds_max: int = STATEMENT_SECONDS_MAX) -> dict[str, Any]:
    """An entry of Django's DATABASES for a URL. Raises InvalidInput, without the password."""
    scheme = urlsplit(url).scheme if "://" in url else ""
    if scheme in ("postgres", "postgresql"):
        return _postgresql(url, statement_seconds_max)
    if scheme == "sqlite":
        return _sqlite_of(url)
    raise InvalidInput(
        "database URL: expected postgresql://user@host/name or sqlite:///file, got "
        + (f"{scheme}://…" if scheme else "text without a scheme")
    )


def sqlite(path: Path, *, busy_seconds_max: float = BUSY_SECONDS_MAX) -> dict[str, Any]:
    """An entry of DATABASES for an SQLite file. Its folder is made, private, if it is missing."""
    path = absolute(path)
    try:
        private.make_folder(path.parent)
    except OSError as error:
        raise Unavailable(
            f"the database's folder {path.parent} can't be made: {error.strerror}; "
            "name another with --db"
        ) from error
    _require_database(path)
    return {
        "ENGINE": SQLITE,
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": busy_seconds_max,
            "init_command": SQLITE_PRAGMAS,
        },
    }


def _require_database(path: Path) -> None:
    """Raises InvalidInput for a folder, Unavailable for a file that is not an SQLite database.

    SQLite itself reports this only at the first query, and a folder only as "unable to open".
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder, expected an SQLite file")
    try:
        with path.open("rb") as file:
            begins = file.read(len(SQLITE_BEGINS))
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"{path} can't be opened: {error.strerror}") from error
    if begins and begins != SQLITE_BEGINS:
        raise Unavailable(
            f"{path}: file is not a database of SQLite; name another with --db or {DATABASE_URL}"
        )


def _sqlite_of(url: str) -> dict[str, Any]:
    """sqlite:///file is relative to the working folder, sqlite:////file is absolute.

    `?timeout=` is how many seconds to wait for another writer.
    """
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path or path == ":memory:":
        raise InvalidInput(
            f"database URL: expected sqlite:///relative/file or sqlite:////absolute/file, got {url}"
        )
    return sqlite(Path(path), busy_seconds_max=_timeout(parts.query))


def _timeout(query: str) -> float:
    given = dict(parse_qsl(query, keep_blank_values=True))
    timeout = given.pop("timeout", str(BUSY_SECONDS_MAX))
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = -1.0
    if given or not 0 <= seconds <= 3600:
        raise InvalidInput(
            f"database URL: expected only ?timeout=SECONDS after the file, got ?{query}"
        )
    return seconds


def _postgresql(url: str, statement_seconds_max: int) -> dict[str, Any]:
    """Parsed by libpq's rules: sockets, several hosts, sslmode and all other options.

    With `pgbouncer=true`, for its transaction mode, the session has no options and no prepared
    statements: the next transaction may get another session.
    """
    url, pooled = _without_flag(url)
    given = _conninfo(url)
    longest = f"-c statement_timeout={statement_seconds_max}s"
    options = f"{PLANS} {WAITS} {longest} {given.pop('options', '')}".strip()
    session = {"options": options} if not pooled else {}
    return {
        "ENGINE": "joblot.postgresql",
        "NAME": given.pop("dbname", ""),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": pooled,
        "OPTIONS": {
            "connect_timeout": CONNECT_SECONDS_MAX,
            "application_name": "joblot",
            **TCP_TIMEOUTS,
            **given,
            **session,
            "server_side_binding": True,
            "prepare_threshold": None if pooled else 1,
            "silence_seconds_max": statement_seconds_max + SILENCE_SLACK_SECONDS,
        },
    }


def _without_flag(url: str) -> tuple[str, bool]:
    """The URL as libpq knows it, and whether it says `pgbouncer=true`. Raises InvalidInput."""
    address, mark, query = url.partition("?")
    pairs = query.split("&") if mark else []
    values = [pair.partition("=")[2] for pair in pairs if pair.partition("=")[0] == POOLED]
    if any(value not in ("true", "false") for value in values):
        raise InvalidInput(f"database URL: expected {POOLED}=true or {POOLED}=false")
    kept = "&".join(pair for pair in pairs if pair.partition("=")[0] != POOLED)
    return (f"{address}?{kept}" if kept else address), values[-1:] == ["true"]


def _conninfo(url: str) -> dict[str, Any]:
    try:
        import psycopg  # noqa: PLC0415 (an extra; SQLite needs nothing)
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            "PostgreSQL's driver is missing; install it with: pip install 'joblot[postgres]'"
        ) from error
    try:
        return dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError as error:
        raise InvalidInput(
            "database URL: expected postgresql://user:password@host:port/name; special characters "
            "in the password must be percent-encoded"
        ) from error
