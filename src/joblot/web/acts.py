"""Acting on a job: a page asks, with the number of items that it concerns; a POST does it.

The page's form is also what the dialog shows. What is allowed, and whether the number still holds,
is for the verbs to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from joblot.config import limits
from joblot.errors import InvalidInput, NumberChanged
from joblot.ledger.job import lifecycle
from joblot.ledger.job.edit import edit
from joblot.ledger.job.reopen import to_reopen
from joblot.ledger.job.retry import retry
from joblot.ledger.job.selection import Selection
from joblot.ledger.read.acts import Act, retries_in_part
from joblot.ledger.read.snapshot import snapshot
from joblot.ledger.rows.author import AuthorFields
from joblot.ledger.submit.submit import seal
from joblot.models import Job
from joblot.sentences import in_flight
from joblot.shown import counted
from joblot.web.edit_form import EditForm
from joblot.web.page import caller_of, page, require_sight
from joblot.web.questions import question
from joblot.web.said import done
from joblot.web.shell import render

CAUSE = "cause"  # the parameter that names a group of failures


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says."""

    form: QueryDict
    by: AuthorFields

    @property
    def expected(self) -> int:
        """Raises InvalidInput."""
        given = self.form.get("expected", "")
        if not (given.isascii() and given.isdigit() and len(given) < 11):
            raise InvalidInput("expected: a number of items; load the page again")
        return int(given)

    @property
    def cause(self) -> str | None:
        return self.form.get(CAUSE) or None


@page
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, job_id: int, act: Act) -> HttpResponseBase:
    """Ask, or do it. If the number has changed, nothing is done, and the page asks again."""
    job = require_sight(request, job_id)
    caller = caller_of(request)
    caller.require_operator(job.project)
    if request.method != "POST":
        return _question(request, job, act)
    asked = Asked(request.POST, {"actor": caller.actor, "reason": request.POST.get("reason", "")})
    try:
        _require_name(job, act, asked)
        text = _DO[act](job, asked)
    except NumberChanged as changed:
        return _question(request, job, act, changed=changed)
    except InvalidInput as error:
        return _question(request, job, act, wrong=str(error))
    is_gone = act is Act.DELETE
    args = [] if is_gone else [job_id]
    return done(request, text, reverse(f"joblot_web:{'jobs' if is_gone else 'job'}", args=args))


def _question(
    request: HttpRequest,
    job: Job,
    act: Act,
    *,
    changed: NumberChanged | None = None,
    wrong: str = "",
) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    state = {**snapshot(job.pk), "name": job.name}
    cause = given.get(CAUSE, "")
    number = state["unsettled"]
    if act is Act.RETRY:
        number = to_reopen(job, Selection(cause) if cause else None)
    is_in_part = act is Act.RETRY and bool(cause) and retries_in_part(job.status)
    context: dict[str, Any] = {
        "here": "jobs",
        "job": state,
        "back": reverse("joblot_web:job", args=[job.pk]),
        "back_word": job.name,
        "asks": question(act, state, number, cause=cause),
        "refusal": "" if is_in_part else state["acts"][act],
        "number": number if act in (Act.RETRY, Act.CANCEL) else None,
        "cause": cause,
        "type_name": _is_named(act, number),
        "fields": EditForm.of(job).shown(given) if act is Act.EDIT else (),
        "reason": given.get("reason", ""),
        "changed": changed,
        "wrong": wrong,
    }
    context["title"] = context["asks"].title
    status = 409 if changed else 422 if wrong else 200
    return render(request, "joblot/act.html", context, status=status)


def _is_named(act: Act, number: int) -> bool:
    return act is Act.CANCEL and number > limits().cancel_named_items


def _require_name(job: Job, act: Act, asked: Asked) -> None:
    """Raises InvalidInput unless a cancel of many items repeats the job's name."""
    if act is Act.CANCEL and _is_named(act, asked.expected) and asked.form.get("name") != job.name:
        raise InvalidInput("The name is not that of the job; nothing was changed.")


def _start(job: Job, asked: Asked) -> str:
    lifecycle.start(job.pk, **asked.by)
    return f"Started with {counted(job.total, 'item')}."


def _pause(job: Job, asked: Asked) -> str:
    lifecycle.pause(job.pk, **asked.by)
    items = in_flight(snapshot(job.pk))
    return f"Paused. {counted(items, 'item')} in flight: their results still count."


def _resume(job: Job, asked: Asked) -> str:
    lifecycle.resume(job.pk, **asked.by)
    return "Resumed."


def _seal(job: Job, asked: Asked) -> str:
    sealed = seal(job.pk, **asked.by)
    return f"Sealed at {counted(sealed.total, 'item')}."


def _cancel(job: Job, asked: Asked) -> str:
    """While workers report, the number falls all the time; no item is canceled unasked."""
    lifecycle.cancel(job.pk, expected=asked.expected, or_fewer=True, **asked.by)
    after = snapshot(job.pk)
    return f"{after['shown']['word']}: {counted(after['unsettled'], 'item')} not settled."


def _retry(job: Job, asked: Asked) -> str:
    begun = retry(job.pk, cause=asked.cause, expected=asked.expected, **asked.by)
    items = counted(asked.expected, "item")
    return (
        f"Run {begun.run} goes on with {items} more."
        if begun.run == job.run
        else (f"Run {begun.run} started with {items}.")
    )


def _edit(job: Job, asked: Asked) -> str:
    edit(job.pk, **EditForm.of(job).changes(asked.form), **asked.by)
    return "Saved."


def _delete(job: Job, asked: Asked) -> str:
    lifecycle.delete(job.pk, **asked.by)
    return f"Deleted {job.name} (#{job.pk})."


_DO: dict[Act, Callable[[Job, Asked], str]] = {
    Act.START: _start,
    Act.PAUSE: _pause,
    Act.RESUME: _resume,
    Act.SEAL: _seal,
    Act.CANCEL: _cancel,
    Act.RETRY: _retry,
    Act.EDIT: _edit,
    Act.DELETE: _delete,
}
