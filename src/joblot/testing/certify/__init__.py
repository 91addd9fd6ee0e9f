"""Certify an installation: a storm on its own database and machine, and every count against truth.

Real worker processes report twice, out of order and late, and are ended with SIGKILL; others are
started in their place. What must come out is known beforehand. Nothing but the job of this storm,
with a project and pipelines of its own, is read or written.
"""

from joblot.testing.certify.certificate import Certificate
from joblot.testing.certify.storm import certify
from joblot.testing.certify.truth import Plan

__all__ = ["Certificate", "Plan", "certify"]
