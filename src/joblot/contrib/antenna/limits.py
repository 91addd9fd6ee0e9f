"""Every limit of this protocol, named, with its unit; `settings.JOBLOT_ANTENNA` overrides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joblot.config import overridden


@dataclass(frozen=True, slots=True)
class AntennaLimits:
    """What a worker of the older fleet may post, and how much it is given."""

    body_bytes_max: int = 268_435_456  # of one batch of results; a token may have a lower limit
    results_max: int = 10_000  # of one batch
    brackets_max: int = 1_000_000  # of one batch; each takes a few microseconds
    group_bytes: int = 4_194_304  # of a batch, held and reported together
    jobs_listed_max: int = 1  # a worker empties one before it asks again
    wait_seconds: float = 20.0  # for a job; the worker gives up after 30
    lease_seconds: float = 300.0  # minimum, whatever the job's policy
    ahead_items: int = 240  # of one job, that a worker may take ahead of its results
    ahead_seconds: float = 60.0  # window for that; the items it reported in it are added
    skew_seconds: float = 60.0  # by which leases may be processed out of order


_limits = AntennaLimits()  # Threads: a frozen value, replaced by one assignment


def antenna_limits() -> AntennaLimits:
    return _limits


def configure(settings: Mapping[str, Any]) -> None:
    """Take `settings.JOBLOT_ANTENNA`. Raises InvalidPolicy, as `joblot.config.configure` does."""
    global _limits  # noqa: PLW0603 (set when Django starts)
    _limits = overridden(AntennaLimits(), settings, "JOBLOT_ANTENNA")
