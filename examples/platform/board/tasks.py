"""For a project with Celery: a task is a way to call the dispatcher, and nothing depends on it."""

from celery import shared_task

from board.dispatch import dispatch


@shared_task(acks_late=True)
def dispatch_survey(survey_id):
    return dispatch(survey_id)
