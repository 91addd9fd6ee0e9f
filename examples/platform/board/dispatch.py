"""Start and cancel a survey. A Celery task, a view or a command may call these."""

import joblot
from board.models import Survey

STAGES = [{"name": "process", "pipeline": "moths"}, {"name": "results", "pipeline": "save"}]
POLICY = {"lease_seconds": 300, "failures_max": 2}


def dispatch(survey_id, **policy):
    """Feed all images of a survey into its job; returns the job's number.

    It may be called twice, or again after it was killed: the idempotency key finds the same job,
    and images that it has are skipped. If it fails, workers go on with what they have: how a
    dispatcher ends is not how the job ends.
    """
    survey = Survey.objects.get(pk=survey_id)
    urls = survey.image_set.order_by("pk").values_list("url", flat=True).iterator()
    job = joblot.submit(
        survey.name,
        ({"key": url, "payload": {"image_url": url}} for url in urls),
        stages=STAGES,
        policy=POLICY | policy,
        idempotency_key=f"survey:{survey_id}",
    )
    Survey.objects.filter(pk=survey_id, job=None).update(job=job.pk)
    return job.pk


def cancel(survey_id):
    """Ask for the end. What is reported within the grace period still counts."""
    joblot.cancel(Survey.objects.get(pk=survey_id).job, reason="cancelled on the page")
