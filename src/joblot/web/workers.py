"""The page of workers: first the pipelines that nobody serves, then workers by what they serve."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from joblot.identity.caller import Scope
from joblot.ledger.read.crew import crew
from joblot.ledger.read.unserved import unserved
from joblot.ledger.read.workers import database_now
from joblot.shown import counted
from joblot.web.page import caller_of, page
from joblot.web.shell import render
from joblot.words import WORKERS

Json = dict[str, Any]

FOLDED = timedelta(hours=24)
FOLDS = ("offline in the last 24 h", "offline for longer", "revoked and offline")


@page
@require_safe
def workers(request: HttpRequest) -> HttpResponseBase:
    wanted = request.GET.get("pipeline")
    now = database_now()
    projects = caller_of(request).projects
    found = [one for one in crew(projects) if wanted is None or wanted in one["pipelines"]]
    lonely = [one for one in unserved(projects) if wanted is None or wanted == one.pipeline]
    resting = [one for one in found if one["state"] == "offline" and not one["items"]]
    shown = [_shown(one) for one in found if one not in resting]
    context = {
        "title": "Workers",
        "here": "workers",
        "wanted": wanted,
        "may_revoke": Scope.ADMIN in caller_of(request).scopes,
        "as_of": now.astimezone(UTC).isoformat(),
        "unserved": lonely,
        "unserved_title": f"{counted(len(lonely), 'pipeline')} without a worker",
        "serve": shlex.quote(lonely[0].pipeline) if lonely else "",
        "groups": _groups(shown),
        "folds": _folds(resting, now),
    }
    return render(request, "joblot/workers.html", context)


def _folds(resting: list[Json], now: datetime) -> list[Json]:
    """Offline workers that hold nothing: lately, earlier, and, whenever that was, revoked ones."""
    folds: dict[str, list[Json]] = {title: [] for title in FOLDS}
    for one in resting:
        lately = _at(one["last_seen_at"]) > now - FOLDED
        folds[FOLDS[2] if one["revoked_at"] else FOLDS[0] if lately else FOLDS[1]].append(one)
    return [{"title": title, "workers": members} for title, members in folds.items() if members]


def _shown(one: Json) -> Json:
    words = WORKERS[one["state"]]
    note = "still holds its items" if one["state"] == "offline" and one["items"] else ""
    return {**one, "glyph": words.glyph, "color": words.color, "note": note}


def _groups(found: list[Json]) -> list[Json]:
    """Workers of the same pipelines together; in a group, the worst first."""
    groups: dict[str, list[Json]] = {}
    for one in found:
        groups.setdefault(", ".join(sorted(one["pipelines"])), []).append(one)
    order = list(WORKERS)[::-1]
    return [
        {
            "pipelines": name,
            "workers": sorted(
                members, key=lambda one: (order.index(one["state"]), one["instance"])
            ),
        }
        for name, members in sorted(groups.items())
    ]


def _at(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
