"""What a dispatch back-end is, and what it can do.

The ledger alone decides who works on what: a back-end carries hints that there is work, or leases
that the ledger has granted. So whatever it loses, repeats or reorders, no count is wrong, and what
it was to carry is found by polling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OnWork = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What callers may rely on while the back-end is heard."""

    announces: bool  # tells of work that any process makes claimable, so nobody polls quickly
    carries_leases: bool  # brings granted leases to workers, which then make no claim


class Backend(Protocol):
    """A way by which a process learns of work."""

    name: str
    capabilities: Capabilities

    @property
    def is_heard(self) -> bool:
        """Whether it was seen to work, and nothing has put that in doubt since."""

    async def run(self, on_work: OnWork) -> None:
        """Call `on_work` whenever there may be work, until cancelled. Raises nothing else."""

    def doubt(self) -> None:
        """Work was found that it had not announced: it is to prove anew that it works."""
