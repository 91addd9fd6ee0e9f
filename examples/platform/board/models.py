"""The platform's own tables. None of them counts anything."""

from django.db import models


class Survey(models.Model):
    """What users start. `status` and `progress` are the old columns, which the old page reads.

    Only `render` writes them for a survey that has a joblot job; handlers, workers and the
    dispatcher write neither.
    """

    name = models.CharField(max_length=200)
    status = models.CharField(max_length=30, default="CREATED")
    progress = models.JSONField(default=dict)
    rendered_at = models.DateTimeField(null=True)  # of the ledger's snapshot in `progress`
    job = models.BigIntegerField(null=True)


class Image(models.Model):
    survey = models.ForeignKey(Survey, on_delete=models.CASCADE)
    url = models.URLField()


class Detection(models.Model):
    """A row of stage `process`, saved in the transaction that counts its image."""

    url = models.URLField()
    box = models.JSONField()


class Occurrence(models.Model):
    """A row of stage `results`, likewise."""

    url = models.URLField(unique=True)
    detections = models.IntegerField()
