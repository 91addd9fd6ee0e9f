"""Classes and functions that pass a job around, some of them asynchronous."""

from typing import Optional

import boto3
from django.db import transaction

from .models import CrawlJob

s3 = boto3.client("s3")


class Runner:
    def __init__(self, pk: int):
        self.crawl_job = CrawlJob.objects.get(pk=pk)

    def page(self, url):
        self.crawl_job.counts.setdefault("urls", []).append(url)  # finds JL101
        self.crawl_job.save(update_fields=["counts"])

    def stop(self):
        self.crawl_job.status = "STOPPED"  # finds JL102
        self.crawl_job.save(update_fields=["status"])


async def start(pk):
    job = await CrawlJob.objects.aget(pk=pk)
    if job.status == "NEW":
        job.status = "RUNNING"  # finds JL102
        await job.asave(update_fields=["status"])


async def start_rightly(pk):
    return await CrawlJob.objects.filter(pk=pk, status="NEW").aupdate(status="RUNNING")


def count(job: Optional[CrawlJob], n):
    job.counts["pages"] = job.counts.get("pages", 0) + n


def count_and_save(pk, n):
    job = CrawlJob.objects.get(pk=pk)
    count(job, n)  # finds JL101
    job.save(update_fields=["counts"])


def count_under_the_lock(pk, n):
    with transaction.atomic():
        job = CrawlJob.objects.select_for_update().get(pk=pk)
        count(job, n)
        job.save(update_fields=["counts"])


def stop_all(pks):
    jobs = list(CrawlJob.objects.filter(pk__in=pks))
    for job in jobs:
        job.status = "STOPPED"
    CrawlJob.objects.bulk_update(jobs, ["status"])  # finds JL102


def archive(pk):
    with transaction.atomic():
        job = CrawlJob.objects.select_for_update().get(pk=pk)
        upload(job)  # finds JL104
        job.status = "ARCHIVED"
        job.save()


def upload(job):
    s3.put_object(Bucket="jobs", Key=str(job.pk), Body=b"")


def increase(pk):
    job = CrawlJob.objects.get(pk=pk)
    job.pages_done = job.pages_done + 1  # finds JL106
    job.save(update_fields=["pages_done"])


def only_shown(pk):
    job = CrawlJob.objects.get(pk=pk)
    job.counts["shown"] = True
    return job.counts


def touched(pk):
    job = CrawlJob.objects.get(pk=pk)
    job.counts["shown"] = True
    job.save(update_fields=["updated_at"])
