from django.db import models


class Order(models.Model):
    """Nothing here says "job": that a task saves it does."""

    status = models.CharField(max_length=20)
    note = models.TextField()


class Batch(models.Model):
    status = models.CharField(max_length=20)
    counts = models.TextField(default="{}")
    version = models.IntegerField(default=1)
