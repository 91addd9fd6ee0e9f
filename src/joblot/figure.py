"""A figure for who watches an installation, and the text in which Prometheus reads figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that says how things are now. `unit` is at the end of its name."""

    name: str
    value: float
    means: str
    labels: Mapping[str, str] = field(default_factory=dict)


def as_text(figures: Iterable[Figure]) -> str:
    """Gauges in the text format of Prometheus; those of one name must come together."""
    return "".join(_lines(figures))


def _lines(figures: Iterable[Figure]) -> Iterator[str]:
    """Figures of one name stand together, below what the name means."""
    told = ""
    for one in figures:
        name = f"joblot_{one.name}"
        if name != told:
            yield f"# HELP {name} {one.means}\n# TYPE {name} gauge\n"
            told = name
        labels = ",".join(f'{label}="{value}"' for label, value in one.labels.items())
        yield f"{name}{f'{{{labels}}}' if labels else ''} {one.value:.15g}\n"
