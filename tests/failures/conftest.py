"""The tests use the ledger's fixtures: after each one, every job is audited and recounted."""

from tests.ledger.conftest import caches_kept, clock, configure, exact, own_hooks, saved

__all__ = ["caches_kept", "clock", "configure", "exact", "own_hooks", "saved"]
