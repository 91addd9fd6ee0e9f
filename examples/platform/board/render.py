"""The single writer of the old columns: draws the ledger's snapshot in the old shape."""

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from board.models import Survey
from joblot import progress


def old_shape(state):
    """The JSON that the old page reads, computed from one snapshot of the ledger."""
    return {
        "summary": {"status": state["status"], "progress": state["percent"] / 100},
        "stages": [_stage(stage) for stage in state["stages"]],
    }


def _stage(stage):
    failed = stage["failed"] + stage["lost"]
    settled = stage["succeeded"] + failed + stage["skipped"]
    counts = {"processed": settled, "remaining": stage["total"] - settled, "failed": failed}
    params = [{"key": key, "value": value} for key, value in (counts | stage["metrics"]).items()]
    done = settled / stage["total"] if stage["total"] else 1
    return {"key": stage["name"], "progress": done, "params": params}


def render(job_id):
    """Write the columns, unless a later snapshot is there already; returns whether it wrote."""
    state = progress(job_id)
    at = parse_datetime(state["as_of"])
    older = Q(rendered_at=None) | Q(rendered_at__lt=at)
    return Survey.objects.filter(older, job=job_id).update(
        status=state["status"], progress=old_shape(state), rendered_at=at
    )


def render_running():
    """For the process that sweeps: call it every few seconds."""
    ended = ["SUCCESS", "COMPLETED_WITH_ERRORS", "FAILURE", "REVOKED"]
    running = Survey.objects.exclude(status__in=ended).exclude(job=None)
    for job_id in running.values_list("job", flat=True):
        render(job_id)
