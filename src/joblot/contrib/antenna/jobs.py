"""GET jobs: the job to process next."""

from __future__ import annotations

from itertools import chain, islice

from django.http import HttpRequest, HttpResponse, JsonResponse

from joblot.api.long_polling import NoWork, attach
from joblot.config import limits
from joblot.contrib.antenna.job_ids import JobStage
from joblot.contrib.antenna.limits import antenna_limits
from joblot.contrib.antenna.offers import offers
from joblot.contrib.antenna.worker import room, worker_of
from joblot.errors import TooLarge
from joblot.identity.caller import Caller
from joblot.ledger.claim.candidates import Wanted


def list_jobs(request: HttpRequest, caller: Caller) -> HttpResponse:
    """Jobs with items to claim, of the requested pipelines that this token has; one, by default.

    The next request is offered another project, if there is one. If there is nothing to offer, the
    server may wait for it. All other parameters are accepted and ignored: only incomplete jobs are
    ever listed, and only their ids.
    """
    worker, pipelines = worker_of(request, caller), _pipelines(request, caller)
    offered = offers(pipelines, caller.projects)
    best = next(offered, None)
    open_offers = (
        {"id": int(JobStage(one.job, one.stage)), "pipeline_slug": one.pipeline}
        for one in chain([best] if best else [], offered)
        if room(caller, worker, one.job) > 0
    )
    jobs = list(islice(open_offers, antenna_limits().jobs_listed_max))
    answer = JsonResponse({"count": len(jobs), "next": None, "previous": None, "results": jobs})
    if best is None and pipelines:
        wanted = Wanted.of(pipelines, None, caller.projects)
        attach(answer, NoWork(antenna_limits().wait_seconds, wanted))
    return answer


def _pipelines(request: HttpRequest, caller: Caller) -> set[str]:
    asked = {name for name in request.GET.get("pipeline__slug__in", "").split(",") if name}
    most = limits().pipelines_per_claim_max
    if len(asked) > most:
        raise TooLarge(f"pipeline__slug__in: expected at most {most}, got {len(asked)}", most)
    return asked if caller.pipelines is None else asked & caller.pipelines
