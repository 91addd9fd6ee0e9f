import socket

import requests
from django.db import transaction

from .models import Account, DeliveryRun, Job, Profile, Task
from .tasks import tell


def step(job, stage):
    job.progress[stage] = "done"
    job.save(update_fields=["progress"])


def work(pk):
    with transaction.atomic():
        job = Job.objects.select_for_update(of=("self",)).get(pk=pk)
        step(job, "read")
        job.status = "STARTED"
        job.save()
        transaction.on_commit(lambda: requests.post("https://example.org", timeout=5))
    requests.post("https://example.org", timeout=5)


def refreshed(job):
    with transaction.atomic():
        Job.objects.select_for_update().filter(pk=job.pk).first()
        job.refresh_from_db()
        job.progress["seen"] = True
        job.save(update_fields=["progress"])


def fetch_then_lock(pk):
    with transaction.atomic():
        found = requests.get("https://example.org", timeout=5).json()
        Job.objects.select_for_update().filter(pk=pk).update(status=found["status"])


def locked_loop(queryset):
    with transaction.atomic():
        for job in Job.objects.filter(status="STARTED").select_for_update(skip_locked=True):
            job.status = "REVOKED"
            job.save(update_fields=["status"])


def built():
    job = Job(status="CREATED", progress={})
    job.progress["stages"] = []
    job.save()
    Job.objects.bulk_create([Job(status="CREATED")])


def of_dicts(job):
    figures = {"done": 0}
    figures.update(done=job.progress.get("done", 0))
    figures["done"] += 1
    return figures


def theme(profile: Profile):
    profile.settings["theme"] = "dark"
    profile.save()


def files(upload, image):
    upload.state = "x"
    image.save("a.png")
    upload.file.save("b.png", image)


def tick(request, pk):
    task = Task.objects.get(pk=pk, owner=request.user)
    task.status = "done"
    task.save()


def close_account(pk):
    account = Account.objects.get(pk=pk)
    account.status = "closed"
    account.version += 1
    account.save()


def whoami(pk):
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=pk)
        job.token = f"{socket.gethostname()}/{requests.utils.quote(job.token)}"
        if not job.token:
            raise requests.HTTPError("no token")
        job.save()


def copied(pk):
    job = Job.objects.get(pk=pk)
    job.pk = None
    job.status = "CREATED"
    job.progress["copied"] = True
    job.save()


def moved(pk, place):
    address = DeliveryRun.objects.get(pk=pk)
    address.address_state = place
    address.save(update_fields=["address_state"])


class Checks:
    def check(self, pk, other):
        with transaction.atomic():
            job = Job.objects.select_for_update().get(pk=pk)
            other.fetch(job)  # another class' method of that name
            job.save()

    def sent(self, pk):
        with transaction.atomic():
            Job.objects.select_for_update().get(pk=pk)
            tell.delay(pk)  # sent after the commit; see tasks.py


def fetch():
    return requests.get("https://example.org", timeout=5)
