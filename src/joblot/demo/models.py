"""The demo's own tables, as a user of joblot would define them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class SavedDigit(models.Model):
    """What the classifier saw, saved by the hook of the stage `save`.

    It deliberately has no unique constraint: a row that is saved twice must show in the count.
    """

    job_id = models.BigIntegerField(db_index=True)
    key = models.CharField(max_length=100)
    digit = models.SmallIntegerField()

    objects: ClassVar[models.Manager[SavedDigit]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.key} shows {self.digit}"


class UnlockedJob(models.Model):
    """A job with a typical counter: a JSON blob that every handler reads and writes back."""

    progress = models.JSONField()

    objects: ClassVar[models.Manager[UnlockedJob]] = models.Manager()

    def __str__(self) -> str:
        return f"job {self.pk}: {self.progress}"
