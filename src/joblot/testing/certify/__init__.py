"""Certify an installation: run a stress test (storm) on it and compare every count with the truth.

Real worker processes report twice, out of order and late, and are killed with SIGKILL and replaced.
The correct result is known beforehand. Only the storm's own job is read or written; it has its own
project and pipelines.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.testing.certify.certificate import Certificate
    from joblot.testing.certify.storm import certify
    from joblot.testing.certify.truth import Plan
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.testing.certify.certificate": ["Certificate"],
            "joblot.testing.certify.storm": ["certify"],
            "joblot.testing.certify.truth": ["Plan"],
        },
    )

__all__ = [
    "Certificate",
    "Plan",
    "certify",
]
