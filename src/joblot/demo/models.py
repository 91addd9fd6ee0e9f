"""The demo's own tables, as an adopter would have them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class SavedDigit(models.Model):
    """What the classifier saw, saved by the hook of the stage `save`.

    There is no unique constraint, on purpose: a row that is saved twice has to show in the count.
    """

    job_id = models.BigIntegerField(db_index=True)
    key = models.CharField(max_length=100)
    digit = models.SmallIntegerField()

    objects: ClassVar[models.Manager[SavedDigit]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.key} shows {self.digit}"


class UnlockedJob(models.Model):
    """A job that counts the usual way: in a JSON blob that every handler reads and writes back."""

    progress = models.JSONField()

    objects: ClassVar[models.Manager[UnlockedJob]] = models.Manager()

    def __str__(self) -> str:
        return f"job {self.pk}: {self.progress}"
