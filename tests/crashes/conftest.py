"""The crashes run on the ledger's fixtures."""

from tests.ledger.conftest import configure, exact, own_hooks

__all__ = ["configure", "exact", "own_hooks"]
