"""A gauge for monitoring an installation, and Prometheus' text format for gauges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joblot.errors import Unavailable

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that describes the current state. Its name ends with its unit."""

    name: str
    value: float
    means: str
    labels: Mapping[str, str] = field(default_factory=dict)


def families(gauges: Iterable[Gauge]) -> Iterator[GaugeMetricFamily]:
    """The gauges as prometheus_client's collectors yield them.

    Gauges of the same name must be adjacent and have the same labels. Raises Unavailable if the
    library is not installed.
    """
    family = _family_class()
    current: GaugeMetricFamily | None = None
    for one in gauges:
        name = f"joblot_{one.name}"
        if current is None or current.name != name:
            if current is not None:
                yield current
            current = family(name, one.means, labels=list(one.labels))
        current.add_metric(list(one.labels.values()), one.value)
    if current is not None:
        yield current


def as_text(gauges: Iterable[Gauge]) -> str:
    """The gauges in Prometheus' text format. Raises Unavailable as `families` does."""
    found = list(families(gauges))
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 (an extra)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(found))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True, eq=False)
class _Collected:
    """A collector, as prometheus_client wants one, of families that are already there."""

    found: list[GaugeMetricFamily]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self.found


def _family_class() -> type[GaugeMetricFamily]:
    try:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise Unavailable(
            "the library for metrics is missing; install it with: pip install 'joblot[server]'"
        ) from error
    return GaugeMetricFamily
