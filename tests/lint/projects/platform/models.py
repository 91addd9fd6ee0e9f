"""A job whose progress lives in one JSON value, as many projects begin."""

from django.db import models


class Job(models.Model):
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=20, default="CREATED")
    progress = models.JSONField(default=dict)
    task_id = models.CharField(max_length=80, null=True)
    updated_at = models.DateTimeField(auto_now=True)

    def bump(self, stage, n):
        self.progress[stage]["processed"] += n  # its callers save

    def update_stage(self, stage, **changes):
        for one in self.progress["stages"]:
            if one["key"] == stage:
                one.update(changes)  # finds JL101
        self.save(update_fields=["progress", "updated_at"])

    def finish(self):
        self.status = "SUCCESS"  # finds JL102
        self.save()

    def finish_locked(self):
        self.status = "SUCCESS"  # only called with the row locked
        self.save(update_fields=["status"])

    def save(self, *args, **kwargs):
        self.progress.setdefault("summary", {})
        super().save(*args, **kwargs)
