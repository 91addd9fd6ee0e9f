"""Celery's workers work on joblot's items: `fan_out` in place of a chord, and dispatchers.

A message of the broker says only that there may be work. Which item a task works on, what it counts
and when the job ends is decided by the ledger, so no message is missed, and none counts twice.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.contrib.celery.dispatching import Dispatcher, dispatch
    from joblot.contrib.celery.fanning_out import fan_out
    from joblot.contrib.celery.item_task import ItemTask
    from joblot.contrib.celery.schedule import beat_schedule
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.contrib.celery.dispatching": ["Dispatcher", "dispatch"],
            "joblot.contrib.celery.fanning_out": ["fan_out"],
            "joblot.contrib.celery.item_task": ["ItemTask"],
            "joblot.contrib.celery.schedule": ["beat_schedule"],
        },
    )

__all__ = ["Dispatcher", "ItemTask", "beat_schedule", "dispatch", "fan_out"]
