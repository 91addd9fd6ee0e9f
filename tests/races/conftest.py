"""The race tests use the ledger's fixtures: after each, every job is audited and recounted."""

from __future__ import annotations

from tests.ledger.conftest import clock, configure, exact, own_hooks, saved
from tests.stepped import stop_at_steps

__all__ = ["clock", "configure", "exact", "own_hooks", "saved", "stop_at_steps"]
