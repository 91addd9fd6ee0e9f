"""Leases on their way to workers through a broker: what they are called there, and their text.

A grant is a lease that the ledger has granted to a dispatcher, and that the first worker takes. The
broker may lose it, bring it twice or late: it is no more than a hint where to find work.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

STREAM = "JOBLOT_GRANTS"
SUBJECTS = "JOBLOT.grants"  # a grant's subject is below it, by its pipeline
REQUESTS = "JOBLOT.requests"  # of workers, each answered by one of those who serve it
RESPONDERS = "joblot"  # their queue group
TAKEN = "JOBLOT.taken"  # the token of a lease that a worker has taken: a hint to its dispatcher

METHOD, TARGET, STATUS = "Joblot-Method", "Joblot-Target", "Joblot-Status"  # headers


@dataclass(frozen=True, slots=True)
class Sent:
    """A grant as a message: the lease in JSON, and the dispatcher that it was granted to."""

    dispatcher: str
    lease: dict[str, Any]

    def encoded(self) -> bytes:
        text = json.dumps({"dispatcher": self.dispatcher, "lease": self.lease})
        return gzip.compress(text.encode(), 1, mtime=0)

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """Raises ValueError if this is no grant."""
        try:
            found = json.loads(gzip.decompress(data))
            return cls(str(found["dispatcher"]), dict(found["lease"]))
        except (OSError, EOFError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a grant: {error}") from error


def name_of(pipeline: str) -> str:
    """The pipeline as a part of a subject, and as a consumer: without `.`, `*`, `>` and `/`."""
    return quote(pipeline, safe="").replace(".", "%2E").replace("~", "%7E")


def subject_of(pipeline: str) -> str:
    return f"{SUBJECTS}.{name_of(pipeline)}"
