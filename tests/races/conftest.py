"""The race tests use the ledger's fixtures: after each, every job is audited and recounted."""

from tests.ledger.conftest import clock, configure, exact, own_hooks, saved

__all__ = ["clock", "configure", "exact", "own_hooks", "saved"]
