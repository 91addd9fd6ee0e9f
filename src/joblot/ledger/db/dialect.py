"""The dialect of a connection: the only place that checks the database's vendor."""

from __future__ import annotations

from types import MappingProxyType

from django.db.backends.base.base import BaseDatabaseWrapper

from joblot.ledger.db.base import Dialect
from joblot.ledger.db.postgresql import PostgreSQL
from joblot.ledger.db.sqlite import SQLite

_DIALECTS = MappingProxyType({one.name: one for one in (PostgreSQL(), SQLite())})


def dialect_of(conn: BaseDatabaseWrapper) -> Dialect:
    """The dialect of this connection. Raises NotImplementedError for an unsupported database."""
    try:
        return _DIALECTS[conn.vendor]
    except KeyError:
        raise NotImplementedError(
            f"expected PostgreSQL or SQLite, got {conn.display_name}"
        ) from None
