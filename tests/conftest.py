"""Fixtures for the whole suite.

A test that uses `ledger_db` runs once on SQLite and once on PostgreSQL (`pytest --db sqlite` for
one of them), with empty tables and real commits. `postgres_only` and `sqlite_only` are the same
for one database.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from joblot.testing.postgres import PostgresServer
from tests import databases, targets
from tests.threads import Threads

MIGRATED = "migrated.sqlite3"
ONLY = {"sqlite_only": "sqlite", "postgres_only": "postgres"}

# These make Rich and Typer write as for a terminal, or one of this width. The tests have none.
OF_TERMINALS = (
    "COLUMNS",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "LINES",
    "NO_COLOR",
    "PY_COLORS",
    "TERMINAL_WIDTH",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)

# The default limits are 0.2 s per example and 1 s for drawing some: too short on a busy machine.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=databases.ALIASES, help="run on this database only")
    parser.addoption(
        "--switch-interval",
        type=float,
        metavar="SECONDS",
        help="how often threads take turns; 1e-6 finds what only one of many orders breaks",
    )
    parser.addoption(
        "--interleave",
        choices=("quick", "full", "deep"),
        default="quick",
        help="how many orders of the ledger's verbs are tried (tests/interleave)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the environment the same everywhere, for xdist's workers and all child processes.

    Bytecode is cached in a folder of the tests' own. They start several hundred processes, each of
    which would compile everything it imports if PYTHONDONTWRITEBYTECODE is set or the packages'
    folders are read-only. The cache is kept for the next run, except that of temporary modules.
    """
    if interval := config.getoption("--switch-interval"):
        sys.setswitchinterval(interval)
    if hasattr(config, "workerinput"):
        return
    for name in OF_TERMINALS:
        os.environ.pop(name, None)
    folder = config.rootpath / ".pytest_cache" / "bytecode"
    temporary = folder / tempfile.gettempdir().lstrip("/")
    config.add_cleanup(lambda: shutil.rmtree(temporary, ignore_errors=True))
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import files that hold no test of the targets, if `-m` names nothing but targets."""
    wanted = targets.named(str(config.option.markexpr))
    if not wanted or not collection_path.match("test_*.py"):
        return None
    file = str(collection_path.relative_to(targets.HERE))
    return None if wanted & targets.targets_in(file) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its target: that of its place, unless the test names one itself.

    Tests with a time limit of their own may take minutes. They are spread evenly: each process
    begins with a part of the list that is in one piece.
    """
    long = [item for item in items if item.get_closest_marker("timeout")]
    items[:] = [item for item in items if not item.get_closest_marker("timeout")]
    stride = len(items) // len(long) + 1 if long else 1
    for place, item in enumerate(long):
        items.insert(place * (stride + 1), item)
    for item in items:
        if not any(item.get_closest_marker(target) for target in targets.TARGETS):
            file = str(item.path.relative_to(targets.HERE))
            item.add_marker(targets.target_of(file, item.name))


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of each garbage collection, and have fewer.

    One for every 700 new objects takes 3% of the time of a test of the ledger.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "db_alias" not in metafunc.fixturenames:
        return
    wanted = {alias for name, alias in ONLY.items() if name in metafunc.fixturenames}
    wanted = wanted or set(databases.ALIASES)
    if chosen := metafunc.config.getoption("--db"):
        wanted &= {chosen}
    metafunc.parametrize("db_alias", sorted(wanted), indirect=True)


@pytest.fixture
def db_alias(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def sqlite_database(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Path:
    """A migrated SQLite file."""
    path = tmp_path_factory.mktemp("sqlite") / "joblot.sqlite3"
    with django_db_blocker.unblock():
        databases.point("sqlite", {"NAME": str(path)})
        databases.migrate("sqlite")
        with connections["sqlite"].cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(path.with_name(MIGRATED))])
    path.chmod(0o600)  # as `joblot doctor` requires it
    return path


@pytest.fixture(scope="session")
def migrated_file(sqlite_database: Path) -> Path:
    """An SQLite file to copy: migrated, and no row was ever written."""
    return sqlite_database.with_name(MIGRATED)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The suite's own server; it does not survive a crash (see `durable_postgres`)."""
    with PostgresServer(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(
    postgres_server: PostgresServer, django_db_blocker: DjangoDbBlocker
) -> Iterator[PostgresServer]:
    """A migrated database on the suite's own server."""
    _open_database(postgres_server, django_db_blocker)
    yield postgres_server
    databases.end_emptying()


@pytest.fixture
def ledger_db(
    db_alias: str, request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """Empty joblot tables; yields the alias of their database."""
    request.getfixturevalue(f"{db_alias}_database")
    with django_db_blocker.unblock(), databases.using(db_alias):
        yield db_alias
        databases.empty(db_alias)


@pytest.fixture(scope="session", autouse=True)
def unannounced() -> Iterator[None]:
    """This process notifies nobody: each test sees the statements of its verbs, and no others.

    Servers in this process do, and so do all child processes.
    """
    from joblot.ledger.rows import wake

    with wake.delivered_by(None):
        yield


@pytest.fixture
def postgres_only(ledger_db: str) -> str:
    return ledger_db


@pytest.fixture
def sqlite_only(ledger_db: str) -> str:
    return ledger_db


@pytest.fixture(scope="session")
def durable_data(postgres_server: PostgresServer, django_db_blocker: DjangoDbBlocker) -> Path:
    """The data folder of a durable server that was migrated and stopped, to be copied."""
    data = postgres_server.home / "durable"  # is removed with it
    with PostgresServer(data) as server, django_db_blocker.unblock():
        databases.point("postgres", _open_database(server, django_db_blocker))
    return data


@pytest.fixture
def durable_postgres(
    durable_data: Path, django_db_blocker: DjangoDbBlocker
) -> Iterator[PostgresServer]:
    """The test's own server, whose commits wait for the disk; the test may stop it."""
    data = durable_data.with_name("durable-of-a-test")
    subprocess.run(["cp", "-a", durable_data, data], check=True)  # the owner stays the same
    with PostgresServer(data) as server, databases.using("postgres"):
        with django_db_blocker.unblock():
            before = databases.point("postgres", server.django_settings("joblot"))
            yield server
            databases.point("postgres", before)
        server.stop("immediate")
    shutil.rmtree(data)


@pytest.fixture
def in_thread(ledger_db: str) -> Iterator[Threads]:
    """`in_thread(call, *args)` runs it in a thread with its own connection; see tests.threads.

    Calls whose result the test did not request are waited for, and their errors fail the test.
    """
    threads = Threads()
    yield threads
    threads.end()


@pytest.fixture
def connect(ledger_db: str) -> Iterator[Callable[[], BaseDatabaseWrapper]]:
    """`connect()` opens another connection to the test's database, usable in any thread."""
    opened: list[BaseDatabaseWrapper] = []

    def connect() -> BaseDatabaseWrapper:
        connection = connections[ledger_db].copy()
        connection.inc_thread_sharing()
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def _open_database(server: PostgresServer, blocker: DjangoDbBlocker) -> dict[str, str]:
    server.create_database("joblot")
    with blocker.unblock():
        before = databases.point("postgres", server.django_settings("joblot"))
        databases.migrate("postgres")
    return before
