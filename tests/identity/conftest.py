"""The fixtures of the ledger's tests, for tokens and workers."""

from tests.ledger.conftest import clock, configure

__all__ = ["clock", "configure"]
