"""SVG charts for the documentation, the same bytes from the same figures.

They have a white ground of their own, so they read the same on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

# Okabe and Ito's colours, which the colour-blind can tell apart; and markers, for print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
MARKERS = "osD^vPX"
OURS, OTHERS = "#0072B2", "#9AA5B1"
STYLE: Any = {  # the keys are literals of a type that no alias names
    "svg.hashsalt": "joblot",  # the ids in the file, which are random otherwise
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#57606A",
    "axes.labelcolor": "#24292F",
    "xtick.color": "#57606A",
    "ytick.color": "#57606A",
    "text.color": "#24292F",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
NO_DATE = {"Date": None, "Creator": None}

Row = tuple[str, float, float, float]  # label, value, low, high


def lines(
    path: Path,
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """A line per series; an axis that is not logarithmic begins at 0, so that flat looks flat."""
    with mpl.rc_context(STYLE):
        figure, axes = _drawing(title, 4.2)
        for number, (name, points) in enumerate(series.items()):
            colour = COLOURS[number % len(COLOURS)]
            marker = MARKERS[number % len(MARKERS)]
            x, y = [point[0] for point in points], [point[1] for point in points]
            axes.plot(x, y, marker=marker, color=colour, label=name, linewidth=2, markersize=5)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y", color="#D8DEE4", linewidth=0.8)
        _scale(axes, log_x=log_x, log_y=log_y)
        if len(series) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
        _save(figure, path)


def bars(path: Path, title: str, unit: str, rows: Sequence[Row], *, ours: str = "joblot") -> None:
    """A bar per row, from the top, with its range; rows that begin with `ours` stand out."""
    with mpl.rc_context(STYLE):
        figure, axes = _drawing(title, 1.3 + 0.36 * len(rows))
        values = [value for _, value, _, _ in rows]
        ranges = [
            [max(0.0, value - low) for _, value, low, _ in rows],
            [max(0.0, high - value) for _, value, _, high in rows],
        ]
        axes.barh(
            range(len(rows)),
            values,
            xerr=ranges,
            color=[OURS if label.startswith(ours) else OTHERS for label, *_ in rows],
            error_kw={"ecolor": "#24292F", "elinewidth": 1.2, "capsize": 3},
        )
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows], color="#24292F")
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        axes.set_xlim(0, 1.16 * max((high for *_, high in rows), default=1.0) or 1.0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))
        for y, (_, value, _, high) in enumerate(rows):
            axes.annotate(
                short(value), (high, y), xytext=(6, 0), textcoords="offset points", va="center"
            )
        _save(figure, path)


def short(number: float) -> str:
    """Three digits, in thousands or millions where it is that large."""
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if abs(number) >= 0.9995 * factor:
            return f"{float(f'{number / factor:.3g}'):g}{unit}"
    return f"{float(f'{number:.3g}'):g}"


def _drawing(title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.4, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    return figure, axes


def _scale(axes: Axes, *, log_x: bool, log_y: bool) -> None:
    numbers = FuncFormatter(lambda x, _: short(x))
    for axis, log in ((axes.xaxis, log_x), (axes.yaxis, log_y)):
        if log:
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
            axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(numbers)
    if not log_y:
        axes.set_ylim(bottom=0)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", bbox_inches="tight", metadata=NO_DATE)
    # Its lines end with blanks, which no other file of the repository has.
    text = "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    path.write_text(text + "\n", encoding="utf-8")
