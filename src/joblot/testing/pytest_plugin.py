"""pytest plugin: the fixture `interleave`, its command-line options, and a summary line.

    pytest_plugins = ["joblot.testing.pytest_plugin"]  # in the conftest.py of the project

The fixture is `joblot.testing.interleave.explore`. It needs tables that other connections can see
(pytest-django: `transactional_db`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from joblot.testing.interleave import Report, explore

REPORTS = pytest.StashKey[list[Report]]()
OPTIONS = {
    "schedules_max": "--interleave-schedules",
    "samples": "--interleave-samples",
    "seed": "--interleave-seed",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("interleave", "every order of SQL statements")
    group.addoption(OPTIONS["schedules_max"], type=int, help="maximum schedules tried in order")
    group.addoption(OPTIONS["samples"], type=int, help="random schedules to try if some are left")
    group.addoption(OPTIONS["seed"], type=int, help="seed that repeats another run's sample")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORTS] = []


@pytest.fixture
def interleave(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`explore`; options on the command line override the test's arguments."""
    chosen = {name: request.config.getoption(option) for name, option in OPTIONS.items()}
    given = {name: value for name, value in chosen.items() if value is not None}
    return partial(explore_and_note, request.config.stash[REPORTS], given)


def explore_and_note(
    reports: list[Report], given: dict[str, Any], *args: Any, **kwargs: Any
) -> Report:
    report = explore(*args, **{**kwargs, **given})
    reports.append(report)
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    reports = config.stash[REPORTS]
    if not reports:
        return
    schedules = sum(report.schedules for report in reports)
    seconds = sum(report.seconds for report in reports)
    explored = sum(report.exhaustive for report in reports)
    terminalreporter.write_line(
        f"interleave: {schedules} schedules in {seconds:.1f} s;"
        f" {explored} of {len(reports)} explorations tried every order"
    )
