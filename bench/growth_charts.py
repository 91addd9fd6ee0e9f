"""Draw docs/images/performance/growth-*.svg from bench/results/growth_*.json.

python bench/growth_charts.py
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from charts import lines
from figures import RESULTS
from growth import bytes_of, known

FOLDER = RESULTS.parents[1] / "docs" / "images" / "performance"
DATABASES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}


@dataclass(frozen=True, slots=True)
class Chart:
    """`shown`: a name for the legend, the part of the measurements, and what in it."""

    file: str
    title: str
    unit: str
    shown: tuple[tuple[str, str, str], ...]


CHARTS = (
    Chart(
        "submit",
        "Submitting",
        "CPU µs per item",
        (("submit", "cpu_us", "submit"), ("raw COPY", "cpu_us", "raw COPY")),
    ),
    Chart("claim", "Claiming, 64 items at a time", "CPU µs per item", (("", "cpu_us", "claim"),)),
    Chart(
        "report",
        "Reporting, 64 results at a time",
        "CPU µs per item",
        (
            ("first half", "cpu_us", "report, first half"),
            ("second half", "cpu_us", "report, second half"),
            ("bare insert", "cpu_us", "bare insert"),
        ),
    ),
    Chart(
        "time",
        "Time of a claim and a report, one connection",
        "µs per item",
        (("claim", "wall_us", "claim"), ("report", "wall_us", "report, second half")),
    ),
    Chart(
        "tenths",
        "CPU of the last tenth of the claims / of the first tenth",
        "ratio",
        (("", "ratios", "claim, last tenth / first tenth"),),
    ),
    Chart(
        "progress",
        "Progress of a job that is half done",
        "CPU ms per call",
        (("progress", "ms", "progress"), ("SELECT 1", "ms", "SELECT 1")),
    ),
    Chart("sweep", "A sweep while the job is half done", "CPU ms per call", (("", "ms", "sweep"),)),
    Chart(
        "failed",
        "Ten failed items, of one in a hundred",
        "CPU ms per call",
        (
            ("first page", "ms", "first page of failed items"),
            ("last page", "ms", "last page of failed items"),
        ),
    ),
    Chart(
        "causes",
        "The causes of all failures",
        "CPU ms per call",
        (("", "ms", "causes of failures"),),
    ),
    Chart(
        "cancel",
        "Cancel, and delete, when nearly all is settled",
        "CPU ms per call",
        (("cancel", "ms", "cancel"), ("delete", "ms", "delete")),
    ),
    Chart("removal", "Removing the rows", "CPU µs per item", (("", "cpu_us", "removal"),)),
    Chart(
        "memory",
        "Most memory of a process",
        "MiB",
        (("client", "mib", "client"), ("backend", "mib", "backend")),
    ),
    Chart(
        "wal",
        "WAL of a finished item",
        "bytes per item",
        (("joblot", "wal", "joblot"), ("COPY + bare insert", "wal", "COPY + bare insert")),
    ),
)


def draw() -> None:
    found = {name: known(db) for db, name in DATABASES.items()}
    for chart in CHARTS:
        series = {
            ", ".join(filter(None, (name, label))): points
            for name, measured in found.items()
            for label, part, what in chart.shown
            if (points := _points(measured, part, what))
        }
        _lines(chart.file, chart.title, chart.unit, series)
    _bytes(found)


def _points(measured: Any, part: str, what: str) -> list[tuple[float, float]]:
    """The median of the rounds by size; without what a database does not have."""
    return [
        (size, statistics.median(one[part][what] for one in rounds))
        for size, rounds in measured.items()
        if all(one[part].get(what) for one in rounds)
    ]


def _bytes(found: Any) -> None:
    series = {}
    for name, measured in found.items():
        for label, tables in (("joblot", ""), ("bare rows", "bare_")):
            points = [
                (size, statistics.median(bytes_of(one, tables) for one in rounds))
                for size, rounds in measured.items()
            ]
            if points := [point for point in points if point[1]]:
                series[f"{name}, {label}"] = points
    _lines("bytes", "Size on disk of a settled item", "bytes per item", series)


def _lines(file: str, title: str, unit: str, series: Any) -> None:
    lines(FOLDER / f"growth-{file}.svg", title, "items of the job", unit, series, log_x=True)


if __name__ == "__main__":
    draw()
