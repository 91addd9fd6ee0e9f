"""GET projects, all on one page, and POST projects/{id}/pipelines: what a worker can do.

joblot needs no registration: a worker that asks for a pipeline's items gets them. Registrations are
stored, because the scores in a result are in the order of the registered labels.
"""

from __future__ import annotations

import zlib
from typing import Any

from django.core.files.base import ContentFile
from django.http import HttpRequest

from joblot.api.body import read_body
from joblot.api.json_text import parse_json
from joblot.canonical import canonical, result_hash
from joblot.config import limits
from joblot.errors import InvalidInput, NotFound
from joblot.identity.caller import Caller
from joblot.ledger.db.transactions import alias
from joblot.ledger.read.workers import described
from joblot.ledger.rows import workers
from joblot.ledger.rows.names import checked_name
from joblot.ledger.rows.outputs import storage
from joblot.models import Job

DEFAULT = "default"


def list_projects(request: HttpRequest, caller: Caller) -> dict[str, Any]:
    """The projects that this token sees."""
    projects = [{"id": number, "name": name} for number, name in _projects(caller).items()]
    return {"count": len(projects), "next": None, "previous": None, "results": projects}


def post_pipelines(request: HttpRequest, caller: Caller, project: str) -> dict[str, Any]:
    """Store what a worker says it can do; repeating the request changes nothing.

    The slugs are stored in the worker's `about`, with the name of the file in the storage that has
    the whole registration, including the labels.
    """
    name = _projects(caller).get(int(project))
    if name is None:
        raise NotFound(f"project {project:.20} does not exist; GET projects lists them")
    given = parse_json(read_body(request, caller.body_bytes_max or limits().body_bytes_max))
    service, slugs = _registered(given)
    known = _known(caller.owner, service)
    before = set(known.get("pipelines", []))
    about = {
        "protocol": "antenna",
        "projects": sorted({name, *known.get("projects", [])}),
        "pipelines": sorted({*slugs, *before}),
        "registration": _stored(given),
    }
    workers.seen(caller.owner, service, about)
    return {
        "success": True,
        "pipelines_created": [slug for slug in slugs if slug not in before],
        "pipelines_updated": [slug for slug in slugs if slug in before],
        "processing_service_id": None,
    }


def _projects(caller: Caller) -> dict[int, str]:
    """Projects by number. The protocol needs numbers, so each is a stable checksum of the name."""
    if caller.projects is not None:
        names = set(caller.projects)
    else:
        jobs = Job.objects.using(alias()).filter(deleted_at__isnull=True)
        names = {DEFAULT, *jobs.values_list("project", flat=True).distinct()}
    return {zlib.crc32(name.encode()): name for name in sorted(names)}


def _registered(given: Any) -> tuple[str, list[str]]:
    """The service's name and the slugs of its pipelines. Raises InvalidInput."""
    pipelines = given.get("pipelines") if isinstance(given, dict) else None
    if not isinstance(pipelines, list) or not all(isinstance(one, dict) for one in pipelines):
        raise InvalidInput('expected {"processing_service_name", "pipelines": [{"slug", …}, …]}')
    slugs = {checked_name(one.get("slug"), "pipelines.slug"): None for one in pipelines}
    service = given.get("processing_service_name") or "antenna"
    return checked_name(service, "processing_service_name"), list(slugs)


def _known(owner: int, service: str) -> dict[str, Any]:
    return described(owner, service)


def _stored(given: Any) -> str:
    """Store a registration; returns its name in the storage, which is derived from its content."""
    text = canonical(given)
    name = f"joblot/registrations/{result_hash(text).hex()}.json"
    if not storage().exists(name):
        name = storage().save(name, ContentFile(text.encode()))
    return name
