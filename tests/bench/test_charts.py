"""The charts of the documentation: what they show, and that drawing again changes no byte."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.charts import bars, lines, short

GROWTH = {"submit": [(1_000, 9.5), (1_000_000, 9.1)], "report": [(1_000, 31.0), (1_000_000, 30.2)]}
ROWS = [("joblot", 25_600.0, 24_000.0, 27_000.0), ("another", 750.0, 700.0, 790.0)]


def texts(path):
    return {"".join(one.itertext()).strip() for one in ET.parse(path).iter() if is_text(one)}


def is_text(element):
    return element.tag.endswith("}text")


def test_lines_name_their_axes_and_series(tmp_path):
    lines(tmp_path / "a.svg", "Cost of an item", "items", "µs", GROWTH, log_x=True)
    assert {"Cost of an item", "items", "µs", "submit", "report"} <= texts(tmp_path / "a.svg")


def test_bars_say_their_values(tmp_path):
    bars(tmp_path / "a.svg", "Rates", "items per second", ROWS)
    assert {"Rates", "items per second", "joblot", "25.6 k", "another", "750"} <= texts(
        tmp_path / "a.svg"
    )


def test_the_axis_of_a_flat_line_begins_at_zero(tmp_path):
    lines(tmp_path / "a.svg", "Flat", "items", "ms", {"it": [(1, 9.0), (2, 9.1)]})
    assert "0" in texts(tmp_path / "a.svg")


@pytest.mark.parametrize("scale", [{}, {"log_x": True}, {"log_x": True, "log_y": True}])
def test_the_same_figures_are_the_same_bytes(tmp_path, scale):
    for name in ("a.svg", "b.svg"):
        lines(tmp_path / name, "Cost", "items", "µs", GROWTH, **scale)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    bars(tmp_path / "a.svg", "Rates", "items/s", ROWS)
    bars(tmp_path / "b.svg", "Rates", "items/s", ROWS)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_chart_has_no_date_and_a_ground_of_its_own(tmp_path):
    bars(tmp_path / "a.svg", "Rates", "items/s", ROWS)
    written = (tmp_path / "a.svg").read_text()
    assert "<dc:date>" not in written
    assert "fill: #ffffff" in written


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (999.4, "999"),
        (999.9, "1 k"),
        (25_600, "25.6 k"),
        (1e7, "10 M"),
    ],
)
def test_numbers_are_short(number, said):
    assert short(number) == said
