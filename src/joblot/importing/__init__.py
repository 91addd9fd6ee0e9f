"""Move running jobs of another system, whose progress is one JSON value, into the ledger.

You write a class with the methods of `BlobMapping`, and `joblot import-blob module:Class` moves the
jobs.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.importing.account import JobAccount, StageAccount
    from joblot.importing.mapping import BlobMapping, KnownResult, OldJob
    from joblot.importing.move import import_blob
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.importing.mapping": ["BlobMapping", "OldJob", "KnownResult"],
            "joblot.importing.move": ["import_blob"],
            "joblot.importing.account": ["JobAccount", "StageAccount"],
        },
    )

__all__ = [
    "BlobMapping",
    "JobAccount",
    "KnownResult",
    "OldJob",
    "StageAccount",
    "import_blob",
]
