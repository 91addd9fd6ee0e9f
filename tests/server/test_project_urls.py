"""A project's own URLs, served together with joblot's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.contrib.antenna.conftest import configure_antenna
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.served import Served

__all__ = ["configure_antenna"]

LINES = {"Content-Type": "application/x-ndjson"}
MANY = b'"a key"\n' * 1_000


@pytest.fixture
def project(settings: Any, configure: Callable[..., None]) -> None:
    """Install its URLs and middleware; a stream of a few kilobytes has many blocks."""
    settings.ROOT_URLCONF = "tests.server.project_urls"
    settings.MIDDLEWARE = ["tests.server.project_urls.closed"]
    configure(add_chunk_bytes=2_000)


@pytest.fixture
def site(project: None, served: Served, http: httpx.Client) -> httpx.Client:
    http.base_url = served.url
    return http


def test_lines_are_cut_into_blocks_wherever_our_urls_are(
    site: httpx.Client, job: Job, configure: Callable[..., None]
) -> None:
    content = b"".join(b'{"key": "k%d"}\n' % n for n in range(1_000))
    configure(body_bytes_max=len(content) // 4)  # so that no single request may hold all of it
    answer = site.post(f"/counts/api/v1/jobs/{job.pk}/items", content=content, headers=LINES)
    assert (answer.status_code, answer.json()) == (200, {"added": 1_000, "total": 1_000})


def test_a_view_of_the_project_gets_its_lines_whole(site: httpx.Client) -> None:
    answer = site.post("/shop/items", content=MANY, headers=LINES)
    assert (answer.status_code, answer.content) == (200, MANY)


def test_a_view_of_the_project_gets_no_larger_body_than_ours(
    site: httpx.Client, configure: Callable[..., None]
) -> None:
    configure(body_bytes_max=len(MANY) - 1)
    assert site.post("/shop/items", content=MANY, headers=LINES).status_code == 413


@pytest.mark.parametrize("where", ["/jobs/1/items", "/counts/items", "/countsXapi/v1/jobs/1/items"])
def test_lines_for_a_path_that_there_is_not(site: httpx.Client, where: str) -> None:
    assert site.post(where, content=MANY, headers=LINES).status_code == 404


@pytest.mark.parametrize("status", [200, 403, 503])
def test_what_a_middleware_answers_is_sent_on(site: httpx.Client, job: Job, status: int) -> None:
    where = f"/counts/api/v1/jobs/{job.pk}/items"
    answer = site.post(where, content=MANY, headers={**LINES, "Closed": str(status)})
    assert (answer.status_code, answer.text) == (status, "<h1>Back soon</h1>")
    assert progress(job.pk)["total"] == 0


@pytest.mark.parametrize("status", ["200", "403"])
def test_a_stream_is_cut_where_a_middleware_responds_in_place_of_a_page(
    site: httpx.Client, configure: Callable[..., None], status: str
) -> None:
    """A client must not mistake the items received so far for all."""
    configure(page_items_max=10)
    job = submit("many", keys(25), pipeline="p")
    headers = {"Accept": LINES["Content-Type"], "Closed": status, "Closed-After": "1"}
    with (
        site.stream("GET", f"/counts/api/v1/jobs/{job.pk}/items", headers=headers) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        list(answer.iter_lines())
    assert answer.status_code == 200


@pytest.mark.parametrize("status", [200, 403])
def test_a_middleware_that_responds_in_place_of_a_later_block_ends_the_stream(
    site: httpx.Client, job: Job, status: int
) -> None:
    def pieces() -> Iterator[bytes]:
        yield MANY
        eventually(lambda: progress(job.pk)["total"])
        yield b'"another key"\n' * 1_000

    where = f"/counts/api/v1/jobs/{job.pk}/items"
    headers = {**LINES, "Closed": str(status), "Closed-After": "1"}
    answer = site.post(where, content=pieces(), headers=headers)
    assert (answer.status_code, answer.text) == (status, "<h1>Back soon</h1>")
    assert progress(job.pk)["total"] == 1


def test_the_older_fleet_may_post_as_much_under_a_prefix(
    site: httpx.Client,
    job: Job,
    configure: Callable[..., None],
    configure_antenna: Callable[..., None],
) -> None:
    configure(body_bytes_max=1_000)
    configure_antenna(body_bytes_max=1_000_000)
    content = b'{"results": []' + b" " * 10_000 + b"}"
    headers = {"Content-Type": "application/json"}
    where = f"/counts/antenna/api/v2/jobs/{job.pk}/result/"
    for body in (content, iter([content])):  # the second does not announce its size
        answer = site.post(where, content=body, headers=headers)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["antenna/api/v2/jobs/{}/tasks/", "api/v1/jobs/{}/items"])
@pytest.mark.parametrize("chunked", [False, True])
def test_only_the_view_that_asks_for_it_takes_more(
    site: httpx.Client, job: Job, configure: Callable[..., None], path: str, chunked: bool
) -> None:
    configure(body_bytes_max=1_000)
    content = b"{" + b" " * 10_000 + b"}"
    body = iter([content]) if chunked else content
    answer = site.post(f"/counts/{path.format(job.pk)}", content=body)
    assert (answer.status_code, answer.json()["limit"]) == (413, 1_000)
