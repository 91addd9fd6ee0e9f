"""Figures: ratios within one run and their bounds, written to bench/results."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django
import psycopg

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "bench" / "results"  # the figures of the documentation
RESULTS = Path(os.environ.get("BENCH_RESULTS", KEPT))  # `make bench-quick` writes elsewhere


@dataclass(frozen=True, slots=True)
class Figure:
    """A median ratio with its range over the rounds; `must` is ">= x" or "<= x"."""

    figure: str
    value: float
    low: float
    high: float
    must: str
    ok: bool


def figure(name: str, ratios: Sequence[float], must: str) -> Figure:
    """Judged by the round closest to the bound, so that noise alone causes no failure."""
    sign, bound = must.split()
    low, high = min(ratios), max(ratios)
    ok = high >= float(bound) if sign == ">=" else low <= float(bound)
    middle = statistics.median(ratios)
    return Figure(name, round(middle, 3), round(low, 3), round(high, 3), must, ok)


def write(name: str, figures: Sequence[Figure], measured: dict[str, Any]) -> None:
    """Write results/NAME.json and print the figures."""
    RESULTS.mkdir(exist_ok=True, parents=True)
    document = {"about": _about(), "figures": [asdict(f) for f in figures], "measured": measured}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for one in figures:
        verdict = "ok" if one.ok else "MISSED"
        print(f"{one.figure}: {one.value} ({one.low} to {one.high}), must {one.must}: {verdict}")


def _about() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip(),
        "command": " ".join([_program(Path(sys.argv[0])), *sys.argv[1:]]),
        "python": platform.python_version(),
        "django": django.get_version(),
        "psycopg": psycopg.__version__,
    }


def _program(path: Path) -> str:
    """As it is started from the repository's root."""
    if path.is_absolute() and path.is_relative_to(ROOT):
        path = path.relative_to(ROOT)
    return f"-m {'.'.join(path.parent.parts)}" if path.name == "__main__.py" else str(path)
