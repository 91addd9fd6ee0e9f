"""Grants as messages of a broker: their subjects, and their format.

A grant is a lease that the ledger has granted to a dispatcher, and that the first worker takes. The
broker may lose it, or deliver it late or twice: it is only a hint where to find work.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

STREAM = "JOBLOT_GRANTS"
SUBJECTS = "JOBLOT.grants"  # the subject of a grant is below it, by its pipeline
REQUESTS = "JOBLOT.requests"  # of workers; each is answered by one of the responders
RESPONDERS = "joblot"  # their queue group
TAKEN = "JOBLOT.taken"  # the token of a lease that a worker has taken: a hint for its dispatcher

METHOD, TARGET, STATUS = "Joblot-Method", "Joblot-Target", "Joblot-Status"  # headers


@dataclass(frozen=True, slots=True)
class GrantMessage:
    """The lease as JSON, and the dispatcher that it was granted to."""

    dispatcher: str
    lease: dict[str, Any]

    def encoded(self) -> bytes:
        text = json.dumps({"dispatcher": self.dispatcher, "lease": self.lease})
        return gzip.compress(text.encode(), 1, mtime=0)

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Raises ValueError for anything else."""
        try:
            found = json.loads(gzip.decompress(data))
            return cls(str(found["dispatcher"]), dict(found["lease"]))
        except (OSError, EOFError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a grant: {error}") from error


def consumer_of(pipeline: str) -> str:
    """The durable consumer of a pipeline: its name, without `.`, `*`, `>` and `/`."""
    return quote(pipeline, safe="").replace(".", "%2E").replace("~", "%7E")


def subject_of(pipeline: str) -> str:
    return f"{SUBJECTS}.{consumer_of(pipeline)}"
