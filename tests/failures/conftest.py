"""The tests use the ledger's fixtures: after each one, every job is audited and recounted."""

from tests.ledger.conftest import clock, configure, exact, own_hooks, saved

__all__ = ["clock", "configure", "exact", "own_hooks", "saved"]
