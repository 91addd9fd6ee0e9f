from django.db import models


class Base(models.Model):
    state = models.CharField(max_length=20, default="new")

    class Meta:
        abstract = True


class ExportTask(Base):
    stats = models.JSONField(default=dict)
    percent = models.IntegerField(default=0)
