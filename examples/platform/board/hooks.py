"""Save results, in the transaction that counts their images: both are committed, or neither."""

from board.models import Detection, Occurrence
from board.render import render
from joblot import on_event, on_result


@on_result("moths")
def save_detections(results):
    Detection.objects.bulk_create(
        Detection(url=one.key, box=found["bbox"])
        for one in results
        for found in one.output["detections"]
    )


@on_result("save")
def save_occurrences(results):
    Occurrence.objects.bulk_create(
        Occurrence(url=one.key, detections=one.output["count"]) for one in results
    )


@on_event("finished")
def show_the_end(event):
    render(event.job_id)
