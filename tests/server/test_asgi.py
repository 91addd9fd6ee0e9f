"""The same URLs in a project's own ASGI server: everything works, without long polling."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import httpx
from django.core.handlers.asgi import ASGIHandler

from joblot.ledger.submit.submit import submit
from tests.ledger.worker import keys
from tests.server.raw import AUTHORIZED

NDJSON = "application/x-ndjson"


async def _respond(method: str, path: str, **asked: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=cast("Any", ASGIHandler()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        headers = {**AUTHORIZED, **asked.pop("headers", {})}
        return await client.request(method, f"/api/v1/{path}", headers=headers, **asked)


def respond(method: str, path: str, **asked: Any) -> httpx.Response:
    return asyncio.run(_respond(method, path, **asked))


def test_a_claim_does_not_wait(ledger_db: str, local: None) -> None:
    answer = respond("POST", "claims", json={"pipelines": ["p"], "wait_seconds": 30})
    assert answer.json()["leases"] == []
    assert answer.json()["retry_after_seconds"] > 0


def test_a_stream_is_a_page_that_links_to_the_next(
    ledger_db: str, local: None, configure: Callable[..., None]
) -> None:
    configure(page_items_max=10)
    job = submit("many", keys(25), pipeline="p")
    answer = respond("GET", f"jobs/{job.pk}/items", headers={"Accept": NDJSON})
    assert [json.loads(line)["id"] for line in answer.iter_lines()] == list(range(10))
    assert httpx.URL(answer.links["next"]["url"]).params["after"] == "9"


def test_a_stream_of_items_is_one_request(ledger_db: str, local: None) -> None:
    job = submit("stream", pipeline="p", seal=False)
    content = b"".join(b'"k%d"\n' % n for n in range(100)) + b"{broken"
    answer = respond(
        "POST", f"jobs/{job.pk}/items", content=content, headers={"Content-Type": NDJSON}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "not_readable")
    assert answer.json()["detail"].startswith("line 101: ")
