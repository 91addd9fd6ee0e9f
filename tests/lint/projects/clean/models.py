from django.db import models
from django.db.models import F, Q


class Job(models.Model):
    status = models.CharField(max_length=20)
    progress = models.JSONField(default=dict)
    done = models.IntegerField(default=0)
    token = models.CharField(max_length=40)

    @classmethod
    def start(cls, name):
        job = cls.objects.create(status="CREATED")
        job.progress["name"] = name
        job.save()
        return job

    def add(self, n):
        self.done = F("done") + n
        self.save(update_fields=["done"])

    def close(self):
        return Job.objects.filter(Q(pk=self.pk) & ~Q(status="REVOKED")).update(status="SUCCESS")

    def render(self):
        shown = dict(self.progress)
        shown["percent"] = 100 * self.done
        return shown


class Profile(models.Model):
    settings = models.JSONField(default=dict)
    visits = models.IntegerField(default=0)


class Task(models.Model):
    """A person's: nobody but its owner changes it."""

    title = models.CharField(max_length=200)
    status = models.CharField(max_length=20)
    completed_at = models.DateTimeField(null=True)


class Account(models.Model):
    status = models.CharField(max_length=20)
    failed_login_attempts = models.IntegerField(default=0)
    discount_percent = models.IntegerField(default=0)
    version = models.IntegerField(default=1)


class DeliveryRun(models.Model):
    status = models.CharField(max_length=20)
    started_at = models.DateTimeField(null=True)
    address_state = models.CharField(max_length=40)
