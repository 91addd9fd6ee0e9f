"""A copy of a Django connection that passes on its raw connection to be watched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def watched(
    model: BaseDatabaseWrapper, watch: Callable[[Any], None], options: dict[str, Any]
) -> BaseDatabaseWrapper:
    """Return a new, unconnected connection with the settings of `model` and additional `options`.

    `watch` receives each raw connection once Django has set it up, also after a reconnect. So the
    setup statements are not seen.
    """
    base: Any = type(model)

    class Watched(base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            watch(self.connection)

    settings = copy.deepcopy(model.settings_dict)
    settings["OPTIONS"] = {**settings["OPTIONS"], **options}
    settings["OPTIONS"].pop("pool", None)  # a pooled connection would return to the pool watched
    connection: BaseDatabaseWrapper = Watched(settings, model.alias)
    return connection
