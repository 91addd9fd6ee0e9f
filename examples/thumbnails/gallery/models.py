from django.db import models

from joblot import on_event, on_result


class Thumbnail(models.Model):
    photo = models.CharField(max_length=200, unique=True)
    width = models.IntegerField()


@on_result("shrink")  # in the transaction that counts the items: both are saved or neither
def save(results):
    Thumbnail.objects.bulk_create(Thumbnail(photo=r.key, width=r.output["width"]) for r in results)


@on_event("finished")  # recorded once per run, in the transaction that finishes the job
def print_end(event):
    print(f"job {event.job_id} ended as {event.data['status']}: {Thumbnail.objects.count()} rows")
