"""The interface of dispatch back-ends, and what they can do.

The ledger alone decides who works on what: a back-end delivers hints that there is work, or leases
that the ledger has granted. Whatever it loses, repeats or reorders, no count is wrong, and work
that it failed to deliver is found by polling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OnWork = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What callers may rely on while the back-end is up."""

    notifies: bool  # of work that any process makes claimable, so nobody polls quickly
    publishes_leases: bool  # to workers, which then make no claims


class Backend(Protocol):
    """A way by which work reaches those who wait for it."""

    name: str
    capabilities: Capabilities

    @property
    def is_up(self) -> bool:
        """Whether it is known to work."""

    async def run(self, on_work: OnWork) -> None:
        """Call `on_work` whenever there may be work, until canceled. Raises nothing else."""

    def verify(self) -> None:
        """Check again that it works: work was found of which it had not notified."""
