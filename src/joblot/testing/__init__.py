"""What tests need: a temporary PostgreSQL server, and a clock that can be set.

Larger tools have namespaces of their own: `joblot.testing.interleave`, `joblot.testing.simulator`
and `joblot.testing.certify`.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.clock import set_clock
    from joblot.testing.postgres import PostgresServer
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.clock": ["set_clock"],
            "joblot.testing.postgres": ["PostgresServer"],
        },
    )

__all__ = [
    "PostgresServer",
    "set_clock",
]
