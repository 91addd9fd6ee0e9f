"""Polling alone: for databases and poolers that can't notify."""

from __future__ import annotations

from joblot.dispatch.base import Capabilities, OnWork


class Polling:
    """Notifies nobody, so those who wait query the ledger all the time."""

    name = "polling"
    capabilities = Capabilities(notifies=False, publishes_leases=False)
    is_up = False

    async def run(self, on_work: OnWork) -> None:
        """Nothing to do."""

    def verify(self) -> None:
        """Nothing to check."""
