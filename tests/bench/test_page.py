"""The page of the figures says what the results say, and why a bound is missed."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.meta.sources import ROOT


def test_the_page_and_the_summary_are_what_the_results_say():
    command = [sys.executable, "bench/page.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"run `python bench/page.py`\n{done.stderr}"


def test_every_figure_has_a_bound_and_its_range():
    for one in json.loads((ROOT / "bench/results/summary.json").read_text()):
        assert set(one) == {"figure", "value", "low", "high", "must", "ok"}
        assert one["low"] <= one["value"] <= one["high"], one


def test_every_chart_of_growth_is_shown():
    page = (ROOT / "docs/performance.md").read_text()
    charts = (ROOT / "docs/images/performance").glob("growth-*.svg")
    assert {chart.name for chart in charts if f"performance/{chart.name})" not in page} == set()
