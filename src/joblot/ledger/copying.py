"""COPY as any other statement: through what is wrapped around those."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def copy_in(
    connection: BaseDatabaseWrapper, statement: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    """Run a `COPY … FROM STDIN` inside the connection's `execute_wrapper`s, with Django's errors
    in place of the driver's.
    """

    def copied(sql: str, given: Any, many: bool, context: Any) -> None:
        with connection.wrap_database_errors, context["cursor"].copy(sql) as copying:
            for row in given:
                copying.write_row(row)

    with connection.cursor() as cursor:
        run: Callable[..., None] = copied
        for wrapper in reversed(connection.execute_wrappers):
            run = partial(wrapper, run)
        run(statement, rows, True, {"connection": connection, "cursor": cursor})
