"""The API conforms to its OpenAPI document for any request."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from joblot.api.application import api as application
from joblot.api.openapi import REFUSALS
from joblot.identity.tokens import issue
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.conftest import exact
from tests.ledger.worker import keys

__all__ = ["exact"]

EXAMPLES = 5  # per operation and database
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

document = schemathesis.openapi.from_dict(application.get_openapi_schema())
OPERATIONS = {
    found.ok().label: found.ok() for found in document.get_all_operations() if isinstance(found, Ok)
}


class World:
    """Existing objects: a job in progress, one that failed, and one that is open."""

    def __init__(self) -> None:
        self.running = submit("running", keys(4), pipeline="p", config={"size": 3})
        self.lease = worker.lease("p", 2)
        failed = submit("failed", keys(2), pipeline="q", policy={"failures_max": 1})
        worker.fail(worker.lease("q"))
        opened = submit("open", keys(2), pipeline="r", seal=False)
        self.jobs = [self.running.pk, failed.pk, opened.pk]
        secret, _ = issue("all", ["admin"])
        self.headers = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}

    def aim(self, case: Case[Any], data: st.DataObject) -> None:
        """Usually point the request at an existing object."""
        path = case.path_parameters or {}
        for name, known in (("job_id", self.jobs), ("token", [self.lease.token])):
            if name in path and data.draw(st.integers(0, 3)):
                path[name] = data.draw(st.sampled_from(known))
        if isinstance(case.body, dict) and "lease" in case.body:
            case.body["lease"] = self.lease.token


@pytest.fixture
def world(ledger_db: str, tmp_path: Any, settings: Any) -> World:
    settings.MEDIA_ROOT = str(tmp_path)
    return World()


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_answers_as_it_is_documented(world: World, label: str) -> None:
    chosen = random.randrange(2**32)
    print(f"seed {chosen}")  # noqa: T201

    @seed(chosen)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(), data=st.data())
    def ask(case: Case[Any], data: st.DataObject) -> None:
        world.aim(case, data)
        response = case.call(app=WSGIHandler(), headers=world.headers)
        case.validate_response(response, checks=CHECKS)

    ask()


def test_every_operation_is_asked() -> None:
    reply = application.get_openapi_schema()["paths"]
    assert len(OPERATIONS) == sum(map(len, reply.values()))


def test_every_operation_documents_its_errors() -> None:
    reply = application.get_openapi_schema()
    for path, operations in reply["paths"].items():
        for method, operation in operations.items():
            for status in REFUSALS:
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], (method, path, status)


def test_every_reference_leads_somewhere() -> None:
    """Generated twice: the second document is as complete as the first."""
    for _ in range(2):
        reply = application.get_openapi_schema()
        found = set(references(reply))
        assert found
        missing = {
            one for one in found if one.rpartition("/")[2] not in reply["components"]["schemas"]
        }
        assert missing == set()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            assert node["$ref"].startswith("#/components/schemas/"), node
            yield node["$ref"]
        for below in node.values():
            yield from references(below)
    elif isinstance(node, list):
        for below in node:
            yield from references(below)


def test_the_document_needs_no_token(ledger_db: str, client: Any) -> None:
    reply = client.get("/api/v1/openapi.json").json()
    assert reply["info"]["title"] == "joblot"
    assert Job.objects.count() == 0
