"""One act on all jobs that match a filter: what is asked first, and then the act.

For programs and the command line. The pages ask about the same numbers, in a form.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from joblot.errors import InvalidInput, NumberChanged, WrongStatus
from joblot.ledger.job.bulk import (
    BULK,
    act_on,
    concerned,
    differs,
    is_typed,
    items_concerned,
    mark_of,
)
from joblot.ledger.job.bulk_questions import question, refusal_of, summary_of
from joblot.ledger.read.acts import Act
from joblot.ledger.read.chosen import Chosen, chosen
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.rows.author import AuthorFields, author_of
from joblot.shown import counted, shown

Json = dict[str, Any]


def ask(
    act: str,
    given: Mapping[str, str],
    *,
    me: Collection[str] = (),
    projects: Collection[str] | None = None,
) -> Json:
    """What `act_on_all` would do: `title`, `happens` (sentences) and `verb` for a person; `jobs`
    that it changes, their `items`, and the `mark` of all jobs that match; `refusal` is why it can't
    be done, and `type_number`, if not null, a number that a person has to repeat.

    `given` is a filter as a query spells it. Raises InvalidInput.
    """
    verb, found = _read(act, given, me, projects)
    affected, items = concerned(found.jobs, verb), items_concerned(found.jobs, verb)
    asks = question(verb, found.jobs, _which(given))
    return {
        "title": asks.title,
        "happens": list(asks.happens),
        "verb": asks.verb,
        "refusal": refusal_of(verb, found),
        "jobs": len(affected),
        "items": items,
        "mark": mark_of(found.jobs),
        "type_number": len(affected) if is_typed(verb, items) else None,
    }


def act_on_all(
    act: str,
    given: Mapping[str, str],
    *,
    expected: int,
    by: AuthorFields,
    mark: str | None = None,
    items: int | None = None,
    me: Collection[str] = (),
    projects: Collection[str] | None = None,
) -> Json:
    """Call the verb for each job that matches and allows the act; `text` says how it went, and
    `outcomes` has each job: `id`, `name`, `fate` (done, left, failed, not reached) and `text`.

    Nothing is changed unless `expected` jobs would be, and, as far as they are given, unless the
    `mark` and the number of `items` still hold. Raises NumberChanged, WrongStatus, InvalidInput.
    """
    by = author_of(**by).fields()
    verb, found = _read(act, given, me, projects)
    affected = len(concerned(found.jobs, verb))
    if affected != expected and not found.is_over:
        text = f"expected {counted(expected, 'job')} to {act}, found {affected:,}"
        raise NumberChanged(f"{text}; nothing was changed", expected, affected)
    if refused := refusal_of(verb, found):
        raise WrongStatus(refused)
    if changed := differs(verb, found.jobs, mark=mark, items=items):
        raise NumberChanged(changed, expected, affected)
    outcomes = act_on(found.jobs, verb, by)
    return {
        "text": summary_of(verb, outcomes),
        "outcomes": [
            {"id": one.id, "name": one.name, "fate": one.fate.value, "text": one.text}
            for one in outcomes
        ],
    }


def _read(
    act: str, given: Mapping[str, str], me: Collection[str], projects: Collection[str] | None
) -> tuple[Act, Chosen]:
    if act not in BULK:
        raise InvalidInput(f"expected an act of {', '.join(BULK)}, got {shown(act, 40)}")
    return Act(act), chosen(JobFilters.of(given, me=me), projects=projects)


def _which(given: Mapping[str, str]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in given.items())
    return f"All jobs that match: {said}." if said else "All jobs, of any status."
