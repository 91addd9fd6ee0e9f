"""The colors of the pages: told apart by everybody, and read on their background."""

from __future__ import annotations

import math
import re
from itertools import combinations

import pytest

from joblot.web.assets import FOLDER
from joblot.words import STATES

Color = tuple[float, float, float]  # 0 to 1, linear where it says so

DIFFERENCE_MIN = 18.0  # CIEDE2000 of any two states
TEXT_CONTRAST_MIN = 4.5
PART_CONTRAST_MIN = 3.0  # of what is not text; lighter states have an edge
LIGHTER = {"light": {"ready", "waiting"}, "dark": {"ready"}}

# Machado, Oliveira, Fernandes 2009: at full strength, on linear RGB.
VISIONS: dict[str, tuple[Color, Color, Color]] = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def palette(theme: str) -> dict[str, str]:
    """The colors of app.css by name."""
    css = (FOLDER / "app.css").read_text()
    found = re.findall(r"--([a-z-]+): light-dark\((#[0-9A-F]{6}), (#[0-9A-F]{6})\);", css)
    return {name: light if theme == "light" else dark for name, light, dark in found}


def states(theme: str) -> dict[str, str]:
    return {name: palette(theme)[name.replace("_", "-")] for name in STATES}


def linear(text: str) -> Color:
    red, green, blue = (_linear(int(text[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return red, green, blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    lights = sorted(
        0.2126 * red + 0.7152 * green + 0.0722 * blue
        for red, green, blue in (linear(one), linear(other))
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def seen(color: str, vision: str) -> Color:
    """CIELAB (D65) of a color as it is seen."""
    rows = VISIONS[vision]
    shown = linear(color)
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, shown, strict=True)))) for row in rows
    )
    x = 0.4124564 * red + 0.3575761 * green + 0.1804375 * blue
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = 0.0193339 * red + 0.1191920 * green + 0.9503041 * blue
    fx, fy, fz = (_root(part / white) for part, white in ((x, 0.95047), (y, 1.0), (z, 1.08883)))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _root(part: float) -> float:
    return part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116


def difference(one: Color, other: Color) -> float:
    """CIEDE2000, after Sharma, Wu, Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean7 = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * math.sqrt(mean7 / (mean7 + 25**7))
    c1, c2 = math.hypot(a1 * stretch, b1), math.hypot(a2 * stretch, b2)
    h1 = math.degrees(math.atan2(b1, a1 * stretch)) % 360 if c1 else 0.0
    h2 = math.degrees(math.atan2(b2, a2 * stretch)) % 360 if c2 else 0.0
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    lightness, chroma = l2 - l1, c2 - c1
    hue = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    l_mean, c_mean = (l1 + l2) / 2, (c1 + c2) / 2
    h_mean = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    weight = (
        1
        - 0.17 * math.cos(math.radians(h_mean - 30))
        + 0.24 * math.cos(math.radians(2 * h_mean))
        + 0.32 * math.cos(math.radians(3 * h_mean + 6))
        - 0.20 * math.cos(math.radians(4 * h_mean - 63))
    )
    s_l = 1 + 0.015 * (l_mean - 50) ** 2 / math.sqrt(20 + (l_mean - 50) ** 2)
    s_c, s_h = 1 + 0.045 * c_mean, 1 + 0.015 * c_mean * weight
    rotation = (
        -2
        * math.sqrt(c_mean**7 / (c_mean**7 + 25**7))
        * math.sin(math.radians(60 * math.exp(-(((h_mean - 275) / 25) ** 2))))
    )
    l_, c_, h_ = lightness / s_l, chroma / s_c, hue / s_h
    return math.sqrt(l_**2 + c_**2 + h_**2 + rotation * c_ * h_)


# From the data that Sharma, Wu and Dalal published with their formula.
@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_that_of_the_standard(one: Color, other: Color, expected: float) -> None:
    assert difference(one, other) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_any_two_states_are_distinguished(theme: str, vision: str) -> None:
    pairs = list(combinations(states(theme).items(), 2))
    assert len(pairs) == 28
    close = {
        f"{a} and {b}": round(found, 1)
        for (a, one), (b, other) in pairs
        if (found := difference(seen(one, vision), seen(other, vision))) < DIFFERENCE_MIN
    }
    assert close == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_state_is_seen_on_the_background(theme: str) -> None:
    background = palette(theme)["background"]
    faint = {
        name
        for name, color in states(theme).items()
        if contrast(color, background) < PART_CONTRAST_MIN
    }
    assert faint == LIGHTER[theme]
    assert contrast(palette(theme)["edge"], background) >= PART_CONTRAST_MIN


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("below", ["background", "surface"])
@pytest.mark.parametrize("name", ["ink", "muted", "link", "danger"])
def test_text_can_be_read(theme: str, below: str, name: str) -> None:
    colors = palette(theme)
    assert contrast(colors[name], colors[below]) >= TEXT_CONTRAST_MIN


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_text_of_a_button_can_be_read(theme: str) -> None:
    assert contrast(palette(theme)["on-link"], palette(theme)["link"]) >= TEXT_CONTRAST_MIN
