"""The ledger tests' fixtures, for tokens and workers."""

from tests.ledger.conftest import clock, configure

__all__ = ["clock", "configure"]
