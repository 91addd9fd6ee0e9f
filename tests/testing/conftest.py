"""Fixtures for the counter."""

from tests.testing.counter import postgres_sql, sql, sqlite_sql

__all__ = ["postgres_sql", "sql", "sqlite_sql"]
