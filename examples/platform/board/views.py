from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

from board.dispatch import cancel
from board.models import Survey
from board.render import old_shape
from joblot import progress


def old_page(request, pk):
    """What the old page has always read: a column."""
    survey = get_object_or_404(Survey, pk=pk)
    return JsonResponse({"status": survey.status, "progress": survey.progress})


def live(request, pk):
    """The same, computed as it is read."""
    state = progress(get_object_or_404(Survey, pk=pk).job)
    return JsonResponse({"status": state["status"], "progress": old_shape(state)})


@csrf_exempt
@transaction.non_atomic_requests
def cancel_survey(request, pk):
    cancel(pk)
    return JsonResponse({}, status=202)
