import copy
import json

import requests
from celery import shared_task
from django.db import transaction
from django.utils import timezone

from .models import Job
from .queue import drop_stream


@shared_task
def handle_results(job_id, results):
    job = Job.objects.get(pk=job_id)
    job.progress["results"]["processed"] += len(results)  # finds JL101
    job.progress["results"]["errors"].extend(r["error"] for r in results if "error" in r)  # finds JL101
    job.save()


@shared_task
def handle_by_copy(job_id, n):
    job = Job.objects.filter(pk=job_id).first()
    progress = copy.deepcopy(job.progress)
    progress["process"]["processed"] += n
    Job.objects.filter(pk=job_id).update(progress=progress)  # finds JL101


@shared_task
def handle_by_method(job_id, n):
    job = Job.objects.get(pk=job_id)
    job.bump("process", n)  # finds JL101
    job.save(update_fields=["progress"])


@shared_task
def rebuild(job_id, n):
    job = Job.objects.get(pk=job_id)
    done = job.progress["done"]
    job.progress = {**job.progress, "done": done + n}  # finds JL101
    job.save(update_fields=["progress"])


def reap(cutoff):
    for job in Job.objects.filter(status="STARTED", updated_at__lt=cutoff):
        job.status = "REVOKED"  # finds JL102
        job.save(update_fields=["status", "updated_at"])


def reap_by_query(job_id):
    Job.objects.filter(pk=job_id).update(status="REVOKED")  # finds JL102


def rename(job_id, name):
    job = Job.objects.get(pk=job_id)
    job.name = name
    job.save()  # finds JL103


@transaction.atomic
def cancel(job_id):
    job = Job.objects.select_for_update().get(pk=job_id)
    requests.post("https://broker.example/revoke", json={"task": job.task_id}, timeout=10)  # finds JL104
    drop_stream(job.pk)  # finds JL104
    job.status = "CANCELING"
    job.save(update_fields=["status"])


def end(job_id):
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        job.finish_locked()
        handle_results.delay(job_id, [])  # finds JL104
    handle_results.delay(job_id, [])


def lock_another_object(job):
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=job.pk)
        job.progress["seen"] = timezone.now().isoformat()  # finds JL101
        job.save(update_fields=["progress"])


def read_only(job):
    return json.dumps({**job.progress, "now": timezone.now().isoformat()})
