"""The log lines of joblot's own processes: time, process, level, message, and what it is about."""

from __future__ import annotations

import logging
import re
import time

from joblot.clean_text import clean
from joblot.log_context import context_of, lease_name


class LineFormatter(logging.Formatter):
    """`2030-01-31T12:00:00.123Z joblot worker WARNING: … [job 7, item 12, lease 5e9c1a2b]`.

    What the message says itself is not repeated. The lines of a message after its first are
    indented, so that no message can pass for a line.
    """

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s {process} %(levelname)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        about = {**context_of(record)}
        if "lease" in about:
            about["lease"] = lease_name(about["lease"])
        text = super().formatMessage(record)
        named = [f"{name} {value}" for name, value in about.items()]
        unsaid = [one for one in named if not re.search(rf"\b{re.escape(one)}\b", text)]
        text += f" [{', '.join(unsaid)}]" if unsaid else ""
        return clean(text).replace("\n", "\n    ")


def log_to_stderr(process: str, level: int = logging.WARNING) -> None:
    """Write what is logged to standard error, unless the program has set up logging itself."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(process))
    logging.basicConfig(level=level, handlers=[handler])
