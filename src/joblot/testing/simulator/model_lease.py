"""The model's leases, and what it knows of an item that waits or is held."""

from __future__ import annotations

from dataclasses import dataclass, field

from joblot.states import LeaseState


@dataclass
class Waiting:
    due: int = 0
    failures: int = 0
    expiries: int = 0
    alone: bool = False
    came_back: bool = False


@dataclass
class ModelLease:
    run: int
    stage: int
    held: dict[int, Waiting]  # as when granted
    deadline: int
    claimed: int
    state: LeaseState = LeaseState.LIVE
    gone: set[int] = field(default_factory=set)
    removed: bool = False  # no actor refers to it any more
