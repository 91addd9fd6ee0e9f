"""A gauge for monitoring an installation, and Prometheus' text format for gauges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that describes the current state. Its name ends with its unit."""

    name: str
    value: float
    means: str
    labels: Mapping[str, str] = field(default_factory=dict)


def as_text(gauges: Iterable[Gauge]) -> str:
    """Format gauges for Prometheus; those of the same name must be adjacent."""
    return "".join(_lines(gauges))


def _lines(gauges: Iterable[Gauge]) -> Iterator[str]:
    """Gauges of the same name are grouped below the name's description."""
    described = ""
    for one in gauges:
        name = f"joblot_{one.name}"
        if name != described:
            yield f"# HELP {name} {one.means}\n# TYPE {name} gauge\n"
            described = name
        labels = ",".join(f'{label}="{value}"' for label, value in one.labels.items())
        yield f"{name}{f'{{{labels}}}' if labels else ''} {one.value:.15g}\n"
