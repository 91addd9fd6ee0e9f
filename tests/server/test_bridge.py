"""The answers of Django's views, as they are sent."""

from __future__ import annotations

import io
import threading

import pytest
from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse

from joblot.server.bridge import Bridge, WholeResponse
from tests.polling import eventually

ANSWERS = {
    "text": lambda: HttpResponse("moth"),
    "a file": lambda: FileResponse(io.BytesIO(b"moth")),
    "a stream": lambda: StreamingHttpResponse(iter([b"mo", b"th"])),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_is_sent_whole_with_its_length(kind: str) -> None:
    """Also for a project's own views, which the server serves beside joblot's."""
    response: HttpResponseBase = ANSWERS[kind]()
    answer = WholeResponse.of(response)
    assert (answer.status, answer.body) == (200, b"moth")
    assert (b"Content-Length", b"4") in answer.headers


def test_cookies_are_sent_on() -> None:
    response = HttpResponse("moth")
    response.set_cookie("session", "x")
    (cookie,) = [
        value for name, value in WholeResponse.of(response).headers if name == b"Set-Cookie"
    ]
    assert cookie.startswith(b"session=x")


def test_a_server_starts_all_its_threads_at_once() -> None:
    """A pool that starts them one by one may wait forever for the last one when it closes."""

    def threads() -> int:
        return sum(one.name.startswith("joblot-request") for one in threading.enumerate())

    before = threads()
    bridge = Bridge(5)
    bridge.start()
    eventually(lambda: threads() == before + 5)
    bridge.close()
    assert threads() == before
