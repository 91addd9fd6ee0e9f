from django.db import models


class Import(models.Model):
    status = models.CharField(max_length=20)
    rows_done = models.PositiveIntegerField(default=0)
    title = models.CharField(max_length=200)


class Article(models.Model):
    status = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    settings = models.JSONField(default=dict)
