"""The limits of the protocol: its own setting, checked like joblot's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core import checks
from django.test import override_settings

from joblot.contrib.antenna.limits import AntennaLimits, antenna_limits
from joblot.errors import InvalidPolicy

pytestmark = pytest.mark.usefixtures("configure_antenna")
UNITS = ("bytes", "seconds", "items", "max")


def test_they_are_taken_from_the_setting_when_django_starts() -> None:
    with override_settings(JOBLOT_ANTENNA={"AHEAD_ITEMS": 7, "wait_seconds": 2}):
        apps.get_app_config("joblot_antenna").ready()
    found = antenna_limits()
    assert (found.ahead_items, found.wait_seconds) == (7, 2)
    assert found.lease_seconds == AntennaLimits().lease_seconds


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"AHEAD_ITEM": 7}, r"unknown name in settings.JOBLOT_ANTENNA: ahead_item; .*ahead_items"),
        ({"AHEAD_ITEMS": 0}, "JOBLOT_ANTENNA: ahead_items: expected a whole number above 0, got 0"),
        ({"AHEAD_ITEMS": 1.5}, "ahead_items: expected a whole number, got 1.5"),
        ({"WAIT_SECONDS": float("inf")}, "wait_seconds: expected a number above 0, got inf"),
        ({"POLICY": {}}, "unknown name in settings.JOBLOT_ANTENNA: policy"),
    ],
)
def test_what_can_not_be_right_is_refused_and_changes_nothing(
    configure_antenna: Callable[..., None], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidPolicy, match=said):
        configure_antenna(**given)
    assert antenna_limits() == AntennaLimits()


def test_the_system_check_says_what_is_wrong_with_the_setting(sqlite_only: str) -> None:
    with override_settings(JOBLOT_ANTENNA={"AHEAD_ITEMS": 0}):
        (found,) = [one for one in checks.run_checks() if one.id == "joblot.E006"]
    assert "ahead_items: expected a whole number above 0" in found.msg
    assert [one for one in checks.run_checks() if one.id == "joblot.E006"] == []


def test_each_has_its_unit_in_its_name() -> None:
    for name in AntennaLimits.__dataclass_fields__:
        assert any(unit in name for unit in UNITS), name


def test_urls_without_the_app_that_takes_the_setting_are_refused() -> None:
    code = (
        "from django.conf import settings; import django\n"
        "settings.configure(INSTALLED_APPS=['joblot'])\n"
        "django.setup()\n"
        "import joblot.contrib.antenna.urls\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert 'expected "joblot.contrib.antenna" in INSTALLED_APPS' in ran.stderr
