"""The API as callers see it: requests through Django's own handler, tokens, a database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from joblot.identity import rate
from joblot.identity.tokens import issue
from tests.ledger.conftest import configure

__all__ = ["Api", "configure"]


class Api:
    """A caller with one token. Answers are JSON; `status` is that of the last one."""

    def __init__(self, token: str | None, **headers: str) -> None:
        self._client = Client(raise_request_exception=False)
        self._headers = dict(headers)
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self.status = 0
        self.headers: Any = {}

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self._taken(
            self._client.get(f"/api/v1/{path}", query or {}, headers=self._headers | headers)
        )

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        return self.post_bytes(path, content, "application/json", **headers)

    def post_bytes(self, path: str, content: bytes, kind: str, **headers: str) -> Any:
        return self._taken(
            self._client.post(
                f"/api/v1/{path}", content, content_type=kind, headers=self._headers | headers
            )
        )

    def patch(self, path: str, body: Any) -> Any:
        content = json.dumps(body).encode()
        kind = "application/json"
        return self._taken(
            self._client.patch(f"/api/v1/{path}", content, content_type=kind, headers=self._headers)
        )

    def delete(self, path: str) -> Any:
        return self._taken(self._client.delete(f"/api/v1/{path}", headers=self._headers))

    def _taken(self, response: Any) -> Any:
        self.status, self.headers = response.status_code, response.headers
        self.content = response.content
        if not response.content:
            return None
        if "json" in response["Content-Type"] and "ndjson" not in response["Content-Type"]:
            return json.loads(response.content)
        return response.content.decode()


@pytest.fixture(autouse=True)
def nobody_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the rate limits: tokens of different tests may have the same number."""
    monkeypatch.setattr(rate, "_buckets", {})


@pytest.fixture
def api(ledger_db: str) -> Callable[..., Api]:
    """`api(scopes, projects=…)` returns a caller with a new token with these rights."""

    def make(*scopes: str, worker: str = "", **rights: Any) -> Api:
        secret, _ = issue("of a test", scopes or ["admin"], **rights)
        return Api(secret, **({"Joblot-Worker": worker} if worker else {}))

    return make


@pytest.fixture
def admin(api: Callable[..., Api]) -> Api:
    return api("admin")
