"""Django's SQLite, with files that only their owner may open."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

from joblot import private

_lock = threading.Lock()


class DatabaseWrapper(base.DatabaseWrapper):
    """Creates the file, private, before SQLite creates it according to the umask. SQLite gives the
    files beside it (the write-ahead log, its index, a journal) the same mode.
    """

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        name = str(conn_params["database"])
        if not self.is_in_memory_db() and not name.startswith("file:"):
            # Closing any descriptor of a database drops all locks of this process on it, so no
            # other thread may open the file between its creation and that close.
            with _lock, suppress(OSError):  # SQLite reports the error, as for any other file
                private.make_file(Path(name).resolve())
        return super().get_new_connection(conn_params)
