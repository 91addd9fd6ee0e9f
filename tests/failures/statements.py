"""The statements that an act sends to the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections

from tests import databases

WRITES = ("INSERT", "UPDATE", "DELETE")


def statements_of(act: Callable[[], object]) -> list[str]:
    """The statements that `act` runs, without leading white space and comments."""
    sent: list[str] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        lines = [line for line in sql.splitlines() if not line.strip().startswith("--")]
        sent.append(" ".join(" ".join(lines).replace('"', "").split()))
        return execute(sql, params, many, context)

    with connections[databases.current()].execute_wrapper(listen):
        act()
    return sent


def written_by(act: Callable[[], object]) -> list[str]:
    """The statements among them that write."""
    return [sent for sent in statements_of(act) if any(word in sent for word in WRITES)]
