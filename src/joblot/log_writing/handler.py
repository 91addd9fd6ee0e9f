"""`JobLogHandler`: what an adopter's code logs about a job goes into the job's log.

Importing this imports no Django model, so it can be named in `settings.LOGGING`, which is applied
before the models are loaded.
"""

from __future__ import annotations

import logging
import time

from joblot.clean_text import shortened
from joblot.config import limits
from joblot.log_context import context_of
from joblot.log_writing.writer import Logged, is_writing, writer


class JobLogHandler(logging.Handler):
    """Appends records about a job to the log of that job; ignores all other records.

    A record is about a job if it is logged with `extra={"job": 7}`, also with `stage`, `item`,
    `worker` or `lease`, or inside `with job_log(7):`. It never blocks and never fails: the record
    is formatted, and a background thread writes it, on its own connection, also while the caller is
    in a transaction, and whether that commits or not. If more is logged than can be written, lines
    are dropped, and the log says how many. When the interpreter exits, what is left is written for
    `log_flush_seconds`.
    """

    def handle(self, record: logging.LogRecord) -> bool:
        """Handle a record, unless the writing thread logs it: that would never end."""
        return False if is_writing() else super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            about = context_of(record)
            if "job" in about:
                writer().put(
                    Logged(
                        job_id=about.pop("job"),
                        at=time.monotonic(),
                        level=_level(record.levelno),
                        source=record.name,
                        message=shortened(self.format(record), limits().error_chars_max),
                        about=about,
                    )
                )
        except Exception:  # noqa: BLE001 (of the record's own values)
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all is written, for at most `log_flush_seconds`."""
        if not is_writing():
            writer().flush(limits().log_flush_seconds)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
