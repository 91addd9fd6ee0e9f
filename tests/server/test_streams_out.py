"""Items and events read as streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import httpx
import pytest

from joblot.config import limits
from joblot.ledger.job import lifecycle
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Job
from joblot.server.bridge import Scope, WholeResponse
from tests.ledger import worker
from tests.ledger.worker import drain, keys
from tests.polling import eventually
from tests.server.raw import Raw, request
from tests.server.served import Served

NDJSON = {"Accept": "application/x-ndjson"}
SSE = {"Accept": "text/event-stream"}
LONG = 1_000  # items


@pytest.fixture
def small_pages(configure: Callable[..., None]) -> None:
    configure(page_items_max=10, events_poll_seconds=0.02)


def ids(lines: Iterator[str]) -> list[int]:
    return [json.loads(line)["id"] for line in lines]


@contextmanager
def items(http: httpx.Client, job: Job, **query: Any) -> Iterator[httpx.Response]:
    with http.stream("GET", f"jobs/{job.pk}/items", params=query, headers=NDJSON) as answer:
        assert answer.status_code == 200
        yield answer


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("count", [0, 1, 10, 35])
def test_all_items_a_line_each(
    http: httpx.Client, small_pages: None, coding: str, count: int
) -> None:
    job = submit("many", keys(count), pipeline="p")
    http.headers["Accept-Encoding"] = coding
    with items(http, job) as answer:
        assert ids(answer.iter_lines()) == list(range(count))
        assert answer.headers["Content-Type"] == "application/x-ndjson"


def test_a_stream_of_some_items_goes_on_where_it_was_cut(
    http: httpx.Client, small_pages: None
) -> None:
    """The filters apply to each page; `after` is the last item received."""
    job = submit("many", keys(60), pipeline="p")
    worker.succeed(worker.lease(limit=50))
    with items(http, job, state="succeeded") as answer:
        lines = answer.iter_lines()
        first = [json.loads(next(lines)) for _ in range(25)]
    with items(http, job, state="succeeded", after=first[-1]["id"]) as answer:
        rest = ids(answer.iter_lines())
    assert [item["id"] for item in first] + rest == list(range(50))


def test_a_page_is_linked_to_the_next_with_all_that_narrows_it(
    http: httpx.Client, small_pages: None
) -> None:
    job = submit("many", keys(60), pipeline="p")
    with items(http, job, state="open", after=3) as answer:
        assert httpx.URL(answer.links["next"]["url"]).params["state"] == "open"
        assert httpx.URL(answer.links["next"]["url"]).params["after"] == "13"


def read_on(lines: Iterator[str], act: Callable[[], object]) -> None:
    """Read a line, call `act`, read the rest."""
    next(lines)
    act()
    for _ in lines:
        pass


@pytest.fixture
def unzipped(http: httpx.Client) -> httpx.Client:
    """Compressed, a whole stream would fit into the buffers and might already be sent."""
    http.headers["Accept-Encoding"] = "identity"
    return http


@pytest.fixture
def long(ledger_db: str, small_pages: None) -> Job:
    """A job with more items than fit into the buffers between a server and its client."""
    return submit("long", [f"{n}-{'x' * 500}" for n in range(LONG)], pipeline="p")


def stands_still(count: Callable[[], int]) -> None:
    """Wait until the count stops growing."""
    seen: list[int] = []

    def looked() -> bool:
        seen.append(count())
        return len(seen) > 20 and seen[-20] == seen[-1]

    eventually(looked)


def test_a_stream_that_can_not_go_on_is_seen_to_be_cut(unzipped: httpx.Client, long: Job) -> None:
    """It does not end as if complete: the job is removed while it is read."""
    with items(unzipped, long) as answer, pytest.raises(httpx.RemoteProtocolError):
        read_on(answer.iter_lines(), lambda: lifecycle.delete(long.pk))


def test_a_stop_cuts_a_stream(served: Served, unzipped: httpx.Client, long: Job) -> None:
    with items(unzipped, long) as answer, pytest.raises(httpx.RemoteProtocolError):
        read_on(answer.iter_lines(), served.begin_stop)


def test_a_reader_that_stands_still_costs_neither_threads_nor_memory(
    served: Served, http: httpx.Client, long: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More readers than threads. A page is read only after the previous one was consumed."""
    path, asked, ask = f"/api/v1/jobs/{long.pk}/items", [], served.process._bridge.ask

    async def noted(scope: Scope, body: IO[bytes]) -> WholeResponse:
        asked.append(scope["path"])
        return await ask(scope, body)

    monkeypatch.setattr(served.process._bridge, "ask", noted)
    with ExitStack() as still:
        for _ in range(8):
            reader = still.enter_context(Raw(served.port, receive_bytes=4_096))
            reader.send(request("GET", path, **NDJSON))
        assert http.get("jobs").status_code == 200
        eventually(
            lambda: asked.count(path) > 8
        )  # readers that wait for a first page stand still too
        stands_still(lambda: len(asked))
    assert asked.count(path) < 8 * LONG / limits().page_items_max / 2


@contextmanager
def events(
    http: httpx.Client, job: Job, seen: str = "", **query: Any
) -> Iterator[Iterator[tuple[str, str]]]:
    """The id and kind of each event, as a browser reads them."""
    headers = SSE | ({"Last-Event-ID": seen} if seen else {})
    path = f"jobs/{job.pk}/events"
    with http.stream("GET", path, params=query, headers=headers, timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield _told(answer.iter_lines())


def _told(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    found: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif "data" in found:
            assert str(json.loads(found["data"])["id"]) == found["id"]
            yield found["id"], found["event"]
            found = {}


def test_events_come_as_they_happen_and_after_a_cut_none_twice(
    http: httpx.Client, small_pages: None
) -> None:
    job = submit("watched", keys(2), pipeline="p")
    with events(http, job) as reply:
        assert [next(reply)[1]] == ["started"]
        lease = worker.lease()
        seen, kind = next(reply)
        assert kind == "claimed"
    worker.succeed(lease)
    with events(http, job, seen) as reply:
        assert next(reply)[1] == "finished"


def test_a_browser_asks_again_with_the_query_it_began_with(
    http: httpx.Client, small_pages: None
) -> None:
    """`?after=` stays in its URL; the last event that it has seen is newer."""
    job = submit("watched", keys(2), pipeline="p")
    with events(http, job, after=0) as reply:
        first = next(reply)
        drain("p")
        rest = [next(reply), next(reply)]
    assert len({first, *rest}) == 3
    with events(http, job, rest[0][0], after=0) as reply:
        assert next(reply) == rest[1]


@pytest.mark.parametrize("seen", ["x", "-1", "9" * 30, "\u00b2"])
def test_a_last_event_that_is_none(http: httpx.Client, seen: str) -> None:
    job = submit("watched", keys(2), pipeline="p")
    headers = [(b"Accept", SSE["Accept"].encode()), (b"Last-Event-ID", seen.encode("latin-1"))]
    answer = http.get(f"jobs/{job.pk}/events", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_stop_ends_a_stream_of_events_which_is_asked_for_again(
    served: Served, http: httpx.Client, small_pages: None
) -> None:
    job = submit("watched", keys(2), pipeline="p")
    with events(http, job) as reply:
        next(reply)
        served.begin_stop()
        assert list(reply) == []


def test_watchers_take_no_threads(served: Served, small_pages: None) -> None:
    """Many more than the server has threads, and each sees the end."""
    job = submit("watched", keys(2), pipeline="p")
    with ExitStack() as open_:
        watchers = [open_.enter_context(Raw(served.port)) for _ in range(30)]
        for watcher in watchers:
            watcher.send(request("GET", f"/api/v1/jobs/{job.pk}/events", **SSE))
        drain("p")
        for watcher in watchers:
            answer, text = watcher.answer(), b""
            while b"event: finished" not in text:
                text += answer.read1()


def test_results_are_streamed(http: httpx.Client, job: Job, configure: Callable[..., None]) -> None:
    configure(results_page_items=3)
    add_items(job.pk, keys(10), seal=True)
    with http.stream("GET", f"jobs/{job.pk}/results", headers=NDJSON) as answer:
        found = [json.loads(line) for line in answer.iter_lines()]
    assert [one["item"] for one in found] == list(range(10))
    assert {one["state"] for one in found} == {"open"}
    first = http.get(f"jobs/{job.pk}/results").json()
    assert (len(first["results"]), first["next"]) == (3, 2)
