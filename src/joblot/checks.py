"""System checks: what joblot's guarantees require of a project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as Advice
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from joblot import config
from joblot.errors import InvalidPolicy
from joblot.ledger.db.base import Dialect
from joblot.ledger.db.dialect import dialect_of
from joblot.models import Job


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """`settings.JOBLOT` may only name known limits."""
    try:
        config.configure(getattr(settings, "JOBLOT", {}))
    except InvalidPolicy as error:
        return [Error(str(error), hint="Correct settings.JOBLOT.", id="joblot.E001")]
    return []


@register()
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """joblot's database must use the transaction mode and isolation that the ledger needs."""
    alias = router.db_for_write(Job)
    if databases is not None and alias not in databases:
        return []
    connection = connections[alias]
    options = connection.settings_dict.get("OPTIONS", {})
    try:
        dialect = dialect_of(connection)
    except NotImplementedError:
        return [
            Error(
                f'DATABASES["{alias}"] is {connection.display_name}; joblot supports PostgreSQL '
                "and SQLite",
                hint="Route joblot's tables to one of these with a database router.",
                id="joblot.E002",
            )
        ]
    if dialect.locks_rows:
        return _isolation(alias, options)
    return [*_transaction_mode(alias, options), *_library(dialect, connection)]


def _transaction_mode(alias: str, options: dict[str, Any]) -> list[CheckMessage]:
    """A transaction that starts with a read fails at once if another one is writing."""
    if str(options.get("transaction_mode", "")).upper() == "IMMEDIATE":
        return []
    return [
        Error(
            f'DATABASES["{alias}"] begins transactions DEFERRED; concurrent joblot transactions '
            'would fail with "database is locked" instead of waiting',
            hint='Set OPTIONS = {"transaction_mode": "IMMEDIATE", "init_command": '
            '"PRAGMA journal_mode=WAL"}.',
            id="joblot.E003",
        )
    ]


def _library(dialect: Dialect, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    if dialect.is_supported(connection):
        return []
    return [
        Error(
            f"{dialect.version(connection)} is too old; joblot needs {dialect.oldest}",
            hint="Install a newer SQLite, or use PostgreSQL.",
            id="joblot.E004",
        )
    ]


def _isolation(alias: str, options: dict[str, Any]) -> list[CheckMessage]:
    """A reconciliation must see, in a new statement, what was just committed."""
    level = options.get("isolation_level")
    if level in (None, 2):  # psycopg.IsolationLevel.READ_COMMITTED
        return _plans(alias, options)
    return [
        Error(
            f'DATABASES["{alias}"] uses a stricter isolation level than READ COMMITTED; joblot\'s '
            "guards must see new commits after each lock",
            hint="Remove isolation_level from OPTIONS, or route joblot's tables to an alias "
            "without it.",
            id="joblot.E005",
        )
    ]


def _plans(alias: str, options: dict[str, Any]) -> list[CheckMessage]:
    if options.get("server_side_binding"):
        return []
    return [
        Advice(
            f'DATABASES["{alias}"] plans every statement again, which slows down reports',
            hint='Set OPTIONS = {"server_side_binding": True, "prepare_threshold": 1, "options": '
            '"-c plan_cache_mode=force_generic_plan -c jit=off"}, unless you connect through a '
            "pooler in transaction mode; in that case, silence joblot.W001.",
            id="joblot.W001",
        )
    ]
