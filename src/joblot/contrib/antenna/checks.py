"""The system check of `settings.JOBLOT_ANTENNA`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from joblot.contrib.antenna.limits import configure
from joblot.errors import InvalidPolicy


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """`settings.JOBLOT_ANTENNA` may only name known limits."""
    try:
        configure(getattr(settings, "JOBLOT_ANTENNA", {}))
    except InvalidPolicy as error:
        return [Error(str(error), hint="Correct settings.JOBLOT_ANTENNA.", id="joblot.E006")]
    return []
