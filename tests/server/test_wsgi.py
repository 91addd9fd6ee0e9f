"""The same URLs under any WSGI server: everything works, without long polling."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections

from joblot.ledger.submit.submit import submit
from tests.ledger.worker import drain, keys
from tests.server.raw import AUTHORIZED


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = False


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Log nothing in a test."""


def application(environ: Any, start_response: Any) -> Any:
    """Django's application; each request has a thread, whose connections end with it."""
    try:
        return [b"".join(WSGIHandler()(environ, start_response))]
    finally:
        connections.close_all()


@pytest.fixture
def wsgi(ledger_db: str, local: None) -> Iterator[httpx.Client]:
    with make_server("127.0.0.1", 0, application, Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1/"
        with httpx.Client(base_url=url, headers=AUTHORIZED, timeout=20, trust_env=False) as client:
            yield client
        server.shutdown()
        thread.join()


def lines(answer: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_job_from_its_stream_of_items_to_its_end(wsgi: httpx.Client) -> None:
    job = wsgi.post("jobs", json={"name": "n", "pipeline": "p", "seal": False}).json()
    content = gzip.compress(b"".join(b'"k%d"\n' % n for n in range(300)))
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    added = wsgi.post(f"jobs/{job['id']}/items", content=content, headers=headers)
    assert added.json() == {"added": 300, "total": 300}
    assert wsgi.post(f"jobs/{job['id']}/seal").json()["sealed"]
    while leases := wsgi.post("claims", json={"pipelines": ["p"], "limit": 100}).json()["leases"]:
        results = [{"item": one["id"], "outcome": "succeeded"} for one in leases[0]["items"]]
        report = {"lease": leases[0]["token"], "results": results}
        reply = wsgi.post("results", json=report).json()["receipts"]
        assert {one["receipt"] for one in reply} == {"counted"}
    assert wsgi.get(f"jobs/{job['id']}").json()["status"] == "SUCCESS"


def test_a_claim_does_not_wait(wsgi: httpx.Client) -> None:
    answer = wsgi.post("claims", json={"pipelines": ["p"], "wait_seconds": 30}, timeout=25)
    assert answer.json()["leases"] == []
    assert answer.json()["retry_after_seconds"] > 0


def test_a_stream_is_a_page_that_links_to_the_next(wsgi: httpx.Client, configure: Any) -> None:
    configure(page_items_max=10)
    job = submit("many", keys(25), pipeline="p")
    url, found = f"jobs/{job.pk}/items?state=open", []
    while url:
        page = wsgi.get(url, headers={"Accept": "application/x-ndjson"})
        found += [item["id"] for item in lines(page)]
        link = page.links.get("next", {}).get("url", "")
        url = link and str(page.url.join(link))
    assert found == list(range(25))


def test_a_stream_of_events_ends_and_is_asked_for_again(wsgi: httpx.Client) -> None:
    job = submit("watched", keys(1), pipeline="p")
    seen = ""
    for kinds in (["started"], ["claimed", "finished"], []):
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": seen} if seen else {})
        text = wsgi.get(f"jobs/{job.pk}/events", headers=headers).text
        reply = [line.partition(": ") for line in text.splitlines()]
        assert [value for name, _, value in reply if name == "event"] == kinds
        seen = ([seen] + [value for name, _, value in reply if name == "id"])[-1]
        drain("p")


def test_headers_between_server_and_views_are_not_sent(wsgi: httpx.Client) -> None:
    job = submit("many", keys(5), pipeline="p")
    for answer in (
        wsgi.get(f"jobs/{job.pk}/events", headers={"Accept": "text/event-stream"}),
        wsgi.post("claims", json={"pipelines": ["none"], "wait_seconds": 30}),
    ):
        assert not [name for name in answer.headers if name.startswith("joblot-")]
