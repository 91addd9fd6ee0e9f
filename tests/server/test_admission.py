"""A request is admitted once, however often the views are called to answer it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from django.core.signals import request_started

from joblot.identity import rate
from joblot.identity.tokens import issue, revoke
from joblot.ledger.job import lifecycle
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.served import Served
from tests.threads import Threads

POLLS = 20
NDJSON = "application/x-ndjson"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The path of each call of a view. The rate limits are reset."""
    monkeypatch.setattr(rate, "_buckets", {})
    seen: list[str] = []

    def note(scope: dict[str, str], **_: object) -> None:
        seen.append(scope["path"])

    request_started.connect(note)
    yield seen
    request_started.disconnect(note)


@pytest.fixture
def public_id() -> list[str]:
    return []


@pytest.fixture
def once(served: Served, calls: list[str], public_id: list[str]) -> Iterator[httpx.Client]:
    """A client whose token allows one request per minute."""
    secret, reply = issue("once", ["admin"], requests_per_minute_max=1)
    public_id.append(reply["id"])
    with served.client(Authorization=f"Bearer {secret}") as client:
        yield client


def test_watching_events_for_many_polls_is_one_request(
    once: httpx.Client, calls: list[str], configure: Callable[..., None]
) -> None:
    configure(events_poll_seconds=0.01)
    job = submit("watched", keys(2), pipeline="p")
    headers = {"Accept": "text/event-stream"}
    with once.stream("GET", f"jobs/{job.pk}/events", headers=headers) as answer:
        lines = answer.iter_lines()
        eventually(lambda: len(calls) > POLLS)
        lifecycle.pause(job.pk)
        assert "event: paused" in lines
    assert once.get("jobs").status_code == 429


def test_a_claim_that_waits_is_one_request(
    served: Served, once: httpx.Client, calls: list[str], in_thread: Threads
) -> None:
    asked = {"pipelines": ["p"], "wait_seconds": 30}
    claim = in_thread(lambda: once.post("claims", json=asked))
    eventually(lambda: len(served.process.room) == 1)
    submit("later", keys(1), pipeline="p")
    answer = claim.result()
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["leases"]) == 1
    assert len(calls) > 1
    assert once.post("claims", json=asked).status_code == 429


def test_reading_many_pages_is_one_request(
    once: httpx.Client, calls: list[str], configure: Callable[..., None]
) -> None:
    configure(page_items_max=10)
    job = submit("many", keys(10 * POLLS), pipeline="p")
    with once.stream("GET", f"jobs/{job.pk}/items", headers={"Accept": NDJSON}) as answer:
        found = [json.loads(line)["id"] for line in answer.iter_lines()]
    assert found == list(range(10 * POLLS))
    assert len(calls) >= POLLS


def test_sending_many_blocks_is_one_request(
    once: httpx.Client, calls: list[str], job: Job, configure: Callable[..., None]
) -> None:
    configure(add_chunk_bytes=4)

    def posted(blocks: int) -> None:
        eventually(lambda: len(calls) >= blocks)

    def pieces() -> Iterator[bytes]:
        for n in range(POLLS):
            yield b'"k%d"\n' % n
            posted(n + 1)

    headers = {"Content-Type": NDJSON}
    answer = once.post(f"jobs/{job.pk}/items", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"added": POLLS, "total": POLLS})


def test_a_token_that_is_revoked_while_it_watches_sees_no_more(
    once: httpx.Client, public_id: list[str], configure: Callable[..., None]
) -> None:
    """Rights are checked for every page, though only the first counts as a request."""
    configure(events_poll_seconds=0.01)
    job = submit("watched", keys(2), pipeline="p")
    headers = {"Accept": "text/event-stream"}
    with once.stream("GET", f"jobs/{job.pk}/events", headers=headers) as answer:
        lines = answer.iter_lines()
        next(lines)
        revoke(*public_id)
        assert "event: paused" not in list(lines)
