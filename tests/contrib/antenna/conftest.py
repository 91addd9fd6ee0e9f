"""The older protocol, through Django's own handler, as under WSGI, and on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings

from joblot.contrib.antenna import limits, turnover
from joblot.identity import rate
from joblot.identity.tokens import issue
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.contrib.antenna.fleet import SLUGS, Task, detected
from tests.ledger.conftest import caches_kept, clock, configure, exact, own_hooks
from tests.server.served import Served

__all__ = ["caches_kept", "clock", "configure", "exact", "own_hooks"]


@pytest.fixture(autouse=True)
def outputs_folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of large outputs."""
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        yield tmp_path


@pytest.fixture(autouse=True)
def nobody_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_buckets", {})  # tokens of different tests may have the same number
    monkeypatch.setattr(turnover, "_done", {})


class Api:
    """A caller with one token of the fleet. `status` is that of the last answer."""

    def __init__(self, token: str) -> None:
        self._client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Token {token}"}
        self.status = 0

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        return self._taken(self._client.get(self._at(path), query or {}, headers=self.headers))

    def post(self, path: str, body: Any) -> Any:
        return self.post_bytes(path, json.dumps(body).encode())

    def post_bytes(self, path: str, body: bytes, **headers: str) -> Any:
        kind = "application/json"
        sent = self.headers | headers
        return self._taken(self._client.post(self._at(path), body, content_type=kind, headers=sent))

    def listed(self, *slugs: str) -> list[dict[str, Any]]:
        asked = {"pipeline__slug__in": ",".join(slugs or SLUGS), "ids_only": 1}
        return list(self.get("jobs", asked)["results"])

    def tasks(self, job: Job | int, batch_size: int = 24) -> list[Task]:
        number = job if isinstance(job, int) else job.pk
        return list(self.post(f"jobs/{number}/tasks/", {"batch_size": batch_size})["tasks"])

    def results(self, job: Job, *results: tuple[Task, Any]) -> list[str]:
        """Post these results; returns the answer to each."""
        posted = [
            {"reply_subject": task["reply_subject"], "result": result} for task, result in results
        ]
        reply = self.post(f"jobs/{job.pk}/result/", {"results": posted})
        assert self.status == 200, reply
        return [one["status"] for one in reply["tasks"]]

    def done(self, job: Job, *tasks: Task) -> list[str]:
        return self.results(job, *((task, detected(task)) for task in tasks))

    def _at(self, path: str) -> str:
        return f"/antenna/api/v2/{path}"

    def _taken(self, response: Any) -> Any:
        self.status, self.answer = response.status_code, response
        return json.loads(response.content)


@pytest.fixture
def token(ledger_db: str) -> str:
    return issue("fleet", ["work"])[0]


@pytest.fixture
def api(token: str) -> Api:
    return Api(token)


@pytest.fixture
def of_rights(ledger_db: str) -> Callable[..., Api]:
    """`of_rights(projects=…)` returns a caller with a new token with these rights."""
    return lambda *scopes, **rights: Api(issue("fleet", scopes or ["work"], **rights)[0])


@pytest.fixture
def configure_antenna() -> Iterator[Callable[..., None]]:
    """`configure_antenna(ahead_items=3)` as `settings.JOBLOT_ANTENNA` would; undone afterwards."""
    yield lambda **settings: limits.configure(settings)
    limits.configure({})


def images(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"key": f"image {n}", "payload": {"image_url": f"http://images.test/{n}.jpg"}}
        for n in range(start, start + count)
    ]


def job_of(count: int, pipeline: str = SLUGS[0], **more: Any) -> Job:
    return submit("night", images(count), pipeline=pipeline, **more)


@pytest.fixture
def served(ledger_db: str, configure_antenna: Callable[..., None]) -> Iterator[Served]:
    """A server on a loopback socket, without long polling."""
    configure_antenna(wait_seconds=0.001)
    with Served(threads=8) as served:
        yield served
