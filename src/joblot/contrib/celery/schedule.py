"""The sweep as an entry of Celery's beat."""

from __future__ import annotations

from typing import Any

SWEEP = "joblot.sweep"


def beat_schedule(seconds: float = 5.0) -> dict[str, dict[str, Any]]:
    """The entry for `app.conf.beat_schedule`: a sweep every `seconds`.

    A message that no worker has taken when the next one is due expires, so that they don't pile up.
    """
    options = {"expires": seconds, "ignore_result": True}
    return {SWEEP: {"task": SWEEP, "schedule": seconds, "options": options}}
