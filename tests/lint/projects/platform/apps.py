from celery.signals import task_failure, task_postrun, task_prerun
from django.apps import AppConfig


class Jobs(AppConfig):
    name = "jobs"


@task_prerun.connect
def started(task_id=None, **kwargs):
    from .models import Job

    job = Job.objects.get(task_id=task_id)
    job.status = "PENDING"  # finds JL102
    job.save()  # finds JL105


@task_postrun.connect
def ended(task_id=None, state=None, **kwargs):
    from .models import Job

    Job.objects.filter(task_id=task_id).update(status=state)  # finds JL102


def failed(task_id=None, **kwargs):
    from .models import Job

    job = Job.objects.get(task_id=task_id)
    job.save()  # finds JL105


task_failure.connect(failed)
