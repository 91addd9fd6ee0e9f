"""The menu of projects in the header: where each leads from the present page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from joblot.config import limits
from joblot.ledger.read.projects import project_names
from joblot.web.paths import jobs_url
from joblot.web.visitor import Visitor

KEEPS = {"joblot_web:home", "joblot_web:jobs"}  # the pages whose address names a project


@dataclass(frozen=True, slots=True)
class ProjectMenu:
    """`here` is the project that the page shows, or words for several."""

    here: str
    links: tuple[dict[str, Any], ...]
    kept: Mapping[str, str]  # the rest of the filter, for a project that is typed
    listed: int | None = None  # how many are listed, if there are more


def project_menu(request: HttpRequest, caller: Visitor, shown: str = "") -> ProjectMenu | None:
    """None for a person who sees fewer than two projects; `shown` is the project of the page."""
    most = limits().projects_listed_max
    found = _names(caller, most + 1)
    if len(found) < 2:
        return None
    names = found[:most]
    kept = request.GET.dict() if _keeps(request) else {}
    kept = {name: value for name, value in kept.items() if name not in ("after", "find")}
    chosen = [one for one in kept.get("project", shown).split(",") if one]
    links = [{"name": "All projects", "url": jobs_url(kept | {"project": ""}), "on": not chosen}]
    links += [
        {"name": name, "url": jobs_url(kept | {"project": name}), "on": chosen == [name]}
        for name in names
    ]
    several = f"{len(chosen)} projects" if chosen else "All projects"
    here = chosen[0] if len(chosen) == 1 else several
    rest = {name: value for name, value in kept.items() if name != "project"}
    return ProjectMenu(here, tuple(links), rest, most if len(found) > most else None)


def _names(caller: Visitor, most: int) -> list[str]:
    if caller.projects is None:
        return project_names(most)
    return sorted(caller.projects)[:most]


def _keeps(request: HttpRequest) -> bool:
    return request.path in {reverse(name) for name in KEEPS}
