from django.db import models


class TimeStamped(models.Model):
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class CrawlJob(TimeStamped):
    status = models.CharField(max_length=20)
    counts = models.JSONField(default=dict)
    pages_done = models.IntegerField(default=0)
