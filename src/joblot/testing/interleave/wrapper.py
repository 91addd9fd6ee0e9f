"""A Django connection like another one, whose raw connection is handed over to be watched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def watched(
    model: BaseDatabaseWrapper, watch: Callable[[Any], None], options: dict[str, Any]
) -> BaseDatabaseWrapper:
    """A new connection with the settings of `model` and some more `options`, not yet connected.

    `watch` gets each raw connection as soon as Django has set it up, also if an operation connects
    again. So the statements of the setting up are not seen.
    """
    base: Any = type(model)

    class Watched(base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            watch(self.connection)

    settings = copy.deepcopy(model.settings_dict)
    settings["OPTIONS"] = {**settings["OPTIONS"], **options}
    settings["OPTIONS"].pop("pool", None)  # a pooled connection would go back watched
    connection: BaseDatabaseWrapper = Watched(settings, model.alias)
    return connection
