"""What this server's processes have done, as Prometheus counters and histograms.

Several processes of one server share them by prometheus_client's own means: files in the folder
that PROMETHEUS_MULTIPROC_DIR names, which must be set before this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from joblot import telemetry
from joblot.gauge import Gauge, families

SHARED = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
PREFIX = "joblot_"

_own = CollectorRegistry()

RECEIPTS = Counter(
    "joblot_receipts",
    "Results that were answered, by receipt and by the outcome that the worker reported.",
    ["receipt", "outcome"],
    registry=_own,
)
EXPIRED = Counter(
    "joblot_leases_expired", "Leases that were expired by this server's sweep.", registry=_own
)
LOST = Counter(
    "joblot_items_lost", "Items that were lost because their leases expired.", registry=_own
)
VERBS = Histogram(
    "joblot_verb_seconds",
    "How long a verb of the ledger took, in this server.",
    ["verb", "result"],
    buckets=SECONDS,
    registry=_own,
)
_COUNTERS = {"receipts": RECEIPTS, "leases_expired": EXPIRED, "items_lost": LOST}


class _Counters:
    """The observer of this process."""

    def timed(self, verb: str, seconds: float, *, failed: bool) -> None:
        VERBS.labels(verb, "error" if failed else "ok").observe(seconds)

    def counted(self, name: str, amount: int, **labels: str) -> None:
        counter = _COUNTERS[name]
        (counter.labels(**labels) if labels else counter).inc(amount)


class _Scrape:
    """Everything that one answer shows: gauges of the database, counters of all processes."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = list(families(gauges))

    def collect(self) -> Iterable[Metric]:
        yield from self._gauges
        yield from _shared() if SHARED in os.environ else _own.collect()


def _shared() -> Iterable[Metric]:
    """Those of all processes; other metrics of a project in the same folder are not joblot's."""
    make: Any = MultiProcessCollector  # untyped
    found = make(CollectorRegistry())
    return [one for one in found.collect() if one.name.startswith(PREFIX)]


def exposition(gauges: Iterable[Gauge]) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(gauges))
    return generate_latest(registry)


# Threads: the cache makes it once; a second call in the same instant is made while modules load.
@cache
def watch() -> None:
    """Count what this process does from now on."""
    telemetry.observe(_Counters())
