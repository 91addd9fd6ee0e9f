"""Polling alone: for databases and poolers that can't notify."""

from __future__ import annotations

from joblot.dispatch.base import Capabilities, OnWork


class Polling:
    """Announces nothing, so those who wait ask the ledger all the time."""

    name = "polling"
    capabilities = Capabilities(announces=False, carries_leases=False)
    is_heard = False

    async def run(self, on_work: OnWork) -> None:
        """Nothing to do."""

    def doubt(self) -> None:
        """Nothing is claimed."""
