"""The crash tests use the ledger's fixtures."""

from tests.ledger.conftest import configure, exact, own_hooks

__all__ = ["configure", "exact", "own_hooks"]
