"""Moves surveys that the old code still counts: `joblot import-blob board.moving:Moving`."""

from board.dispatch import POLICY, STAGES
from board.models import Detection, Occurrence, Survey
from joblot.importing import KnownResult, OldJob


class Moving:
    source = "survey"  # with the id, the key by which `dispatch` finds the same job
    stages = STAGES

    def jobs(self):
        for survey in Survey.objects.filter(status__in=["STARTED", "MOVING"]):
            stages = survey.progress.get("stages", [])
            counts = {one["key"]: _counts(one["params"]) for one in stages}
            yield OldJob(str(survey.pk), survey.name, counts, policy=POLICY)

    def items(self, job):
        urls = Survey.objects.get(pk=job.id).image_set.order_by("pk").values_list("url", flat=True)
        return [{"key": url, "payload": {"image_url": url}} for url in urls]

    def known(self, job, stage):
        """The rows that the old handlers have saved."""
        urls = Survey.objects.get(pk=job.id).image_set.values("url")
        if stage == "process":
            boxes = {}
            for found in Detection.objects.filter(url__in=urls):
                boxes.setdefault(found.url, []).append({"bbox": found.box})
            for url, detections in boxes.items():
                yield KnownResult(url, {"detections": detections})
        else:
            for found in Occurrence.objects.filter(url__in=urls):
                yield KnownResult(found.url, {"count": found.detections})

    def close(self, job):
        running = Survey.objects.filter(pk=job.id, status__in=["STARTED", "MOVING"])
        return running.update(status="MOVING") == 1

    def moved(self, job, job_id):
        Survey.objects.filter(pk=job.id, job=None).update(job=job_id)


def _counts(params):
    values = {one["key"]: one["value"] for one in params}
    failed = values.get("failed", 0)
    return {"succeeded": values.get("processed", 0) - failed, "failed": failed}
