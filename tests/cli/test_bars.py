"""The bars of a terminal: counts that add up, and colors that are legible anywhere."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from joblot.cli.bars import LiveBars, drawn, legend, widths
from joblot.cli.pace import duration
from joblot.cli.stages import IN_ORDER, counts

STAGE = {
    "name": "shrink",
    "total": 1_000,
    "ready": 100,
    "in_flight": 16,
    "succeeded": 600,
    "failed": 3,
    "lost": 1,
    "skipped": 30,
    "cancelled": 0,
    "metrics": {},
}
JOB: dict[str, Any] = {
    "id": 7,
    "name": "tiles",
    "status": "STARTED",
    "percent": 63.4,
    "sealed": True,
    "eta": {"p50": 7_740.0, "p90": 9_000.0},
    "stages": [STAGE],
}


def test_the_counts_add_up_to_the_total():
    """What has not come to this stage is waiting."""
    assert counts(STAGE)["waiting"] == 250
    assert sum(counts(STAGE).values()) == STAGE["total"]
    (shown,) = legend(counts(STAGE), "1,000", 200)
    assert shown.plain == (
        "✓ 600 succeeded  ✕ 3 failed  ? 1 lost  ↷ 30 skipped  ▸ 16 in flight  ◷ 250 waiting  "
        "· 100 ready  = 1,000"
    )


def test_a_narrow_line_ends_between_two_counts():
    lines = [line.plain.rstrip() for line in legend(counts(STAGE), "1,000", 30)]
    assert lines == [
        "✓ 600 succeeded  ✕ 3 failed",
        "? 1 lost  ↷ 30 skipped",
        "▸ 16 in flight  ◷ 250 waiting",
        "· 100 ready  = 1,000",
    ]


@pytest.mark.parametrize(
    "numbers", [[1, 0, 0], [999_999, 1, 0], [1, 1, 1_000_000], [5, 5, 5], [3, 0, 7]]
)
@pytest.mark.parametrize("columns", [20, 60])
def test_a_bar_is_full_and_shows_every_state_that_has_an_item(numbers: list[int], columns: int):
    cells = widths(numbers, columns)
    assert sum(cells) == columns
    assert [bool(cell) for cell in cells] == [bool(number) for number in numbers]


def test_an_empty_stage_has_an_empty_bar():
    assert widths([0, 0], 20) == [0, 0]


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_no_line_is_wider_than_the_terminal(columns: int):
    out = io.StringIO()
    Console(file=out, width=columns, force_terminal=True, no_color=True).print(
        *drawn(JOB, columns), sep="\n"
    )
    assert max(map(len, out.getvalue().splitlines())) <= columns


def shown(**settings: Any) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=100,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        **settings,
    )
    with LiveBars(console) as bars:
        bars.update(JOB)
    return out.getvalue()


def test_the_bars_say_the_status_and_when_it_ends():
    said = shown()
    assert "job 7 tiles: Working, 63.4 %, done in about 2 h 10 min" in said
    assert "\x1b[38;2;" in said


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[38;2;" not in shown()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "a minute"), (61, "2 min"), (3_600, "1 h"), (7_740, "2 h 10 min"), (40_000, "12 h")],
)
def test_a_duration_is_rounded_up(seconds: float, said: str):
    assert duration(seconds) == said


def _luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


@pytest.mark.parametrize("shade", [one for one in IN_ORDER if one.color], ids=lambda one: one.name)
@pytest.mark.parametrize("background", ["#ffffff", "#000000", "#101418"])
def test_each_color_is_legible_on_light_and_dark(shade: Any, background: str):
    high, low = sorted((_luminance(shade.color), _luminance(background)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3
