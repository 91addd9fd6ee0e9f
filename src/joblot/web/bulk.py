"""Acting on several jobs of the list: a page asks, with their number; a POST does it.

The form carries what was seen: the ids or the filter, how many jobs that were, and how many items.
If it is another number by the time of the POST, nothing is done, and the page asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.views.decorators.http import require_http_methods

from joblot.config import limits
from joblot.errors import InvalidInput
from joblot.ledger.job.bulk import (
    Fate,
    Outcome,
    act_on,
    concerned,
    differs,
    is_typed,
    items_concerned,
    mark_of,
    number_changed,
)
from joblot.ledger.job.bulk_questions import question, refusal_of, summary_of
from joblot.ledger.read.acts import Act
from joblot.ledger.read.chosen import Chosen, chosen
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.rows.author import AuthorFields
from joblot.shown import shown
from joblot.web import find
from joblot.web.ids import ids_of
from joblot.web.page import caller_of, page
from joblot.web.paths import next_path
from joblot.web.said import done
from joblot.web.shell import render
from joblot.web.visitor import Visitor


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that the form names: by their ids, or all that match a filter."""

    ids: tuple[int, ...]
    filter: str | None = None  # as a query string

    @classmethod
    def of(cls, given: QueryDict) -> Self:
        """Raises InvalidInput."""
        if given.get("all"):
            return cls((), given.get("filter", ""))
        ids = ids_of("id", ",".join(given.getlist("id")), limits().bulk_jobs_max)
        if not ids:
            raise InvalidInput("no job is selected; go back, and select at least one")
        return cls(tuple(sorted(set(ids))))

    def read(self, caller: Visitor) -> Chosen:
        """Those that the person may change. Raises InvalidInput for a wrong filter."""
        if self.filter is None:
            return chosen(self.ids, projects=caller.operates)
        filters = JobFilters.of(QueryDict(self.filter).dict(), me=caller.names)
        return chosen(filters, projects=caller.operates)

    def sentence(self, found: int) -> str:
        if self.filter is not None:
            text = find.text_of(QueryDict(self.filter).dict())
            return f"All jobs that match the filter: {text}" if text else "All jobs, of any status."
        gone = len(self.ids) - found
        return f"{gone:,} of those selected can't be found, or not changed by you." if gone else ""

    def hidden(self) -> dict[str, str]:
        """As fields of the form."""
        if self.filter is not None:
            return {"all": "1", "filter": self.filter}
        return {"id": ",".join(map(str, self.ids))}


@page
@require_http_methods(["GET", "HEAD", "POST"])
def bulk(request: HttpRequest, act: Act) -> HttpResponseBase:
    """Ask, or do it."""
    caller = caller_of(request)
    caller.require_operator_somewhere()
    posted = request.method == "POST"
    choice = Choice.of(request.POST if posted else request.GET)
    found = choice.read(caller)
    if not posted:
        return _question(request, act, choice, found)
    try:
        changed = _changed(request.POST, act, found)
    except InvalidInput as error:
        return _question(request, act, choice, found, wrong=str(error), status=422)
    if changed or refusal_of(act, found):
        return _question(request, act, choice, found, wrong=changed, status=409)
    by: AuthorFields = {"actor": caller.actor, "reason": request.POST.get("reason", "")}
    return _answer(request, act, act_on(found.jobs, act, by))


def _question(
    request: HttpRequest,
    act: Act,
    choice: Choice,
    found: Chosen,
    *,
    wrong: str = "",
    status: int = 200,
) -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    affected = concerned(found.jobs, act)
    items = items_concerned(found.jobs, act)
    asks = question(act, found.jobs, choice.sentence(len(found.jobs)))
    seen = {"mark": mark_of(found.jobs), "expected_items": str(items), "next": next_path(request)}
    context = {
        "title": asks.title,
        "here": "jobs",
        "action": request.path,
        "back": next_path(request),
        "back_word": "Jobs",
        "asks": asks,
        "refusal": refusal_of(act, found),
        "number": len(found.jobs),
        "hidden": choice.hidden() | seen,
        "jobs": affected,
        "type_number": len(affected) if is_typed(act, items) else None,
        "reason": given.get("reason", ""),
        "wrong": wrong,
    }
    return render(request, "joblot/act.html", context, status=status)


def _changed(form: QueryDict, act: Act, found: Chosen) -> str:
    """What differs from what was seen; "" if nothing does. Raises InvalidInput."""
    jobs, items = _number(form, "expected"), _number(form, "expected_items")
    if jobs != len(found.jobs):
        return number_changed("jobs", jobs, len(found.jobs))
    if changed := differs(act, found.jobs, mark=form.get("mark", ""), items=items):
        return changed
    affected = str(len(concerned(found.jobs, act)))
    if is_typed(act, items) and form.get("name", "").strip() != affected:
        raise InvalidInput("That is not the number of jobs; nothing was changed.")
    return ""


def _number(form: QueryDict, name: str) -> int:
    """Raises InvalidInput."""
    given = form.get(name, "")
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise InvalidInput(
            f"{name}: expected a number, got {shown(given, 40)}; load the page again"
        )
    return int(given)


def _answer(request: HttpRequest, act: Act, outcomes: list[Outcome]) -> HttpResponse:
    """Lead back to the list if all was done; otherwise name each job that was not changed."""
    text, back = summary_of(act, outcomes), next_path(request)
    rest = [one for one in outcomes if one.fate is not Fate.DONE]
    if not rest:
        return done(request, text, back)
    late = [one.id for one in rest if one.fate is Fate.NOT_REACHED]
    again = QueryDict(mutable=True)
    again.update({"id": ",".join(map(str, late)), "next": back})
    context = {
        "title": text,
        "here": "jobs",
        "back": back,
        "text": text,
        "rest": rest,
        "again": f"{request.path}?{again.urlencode(safe=',/')}" if late else "",
    }
    return render(request, "joblot/act_result.html", context)
