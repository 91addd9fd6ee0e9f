"""The answers of Django's views, as they are sent."""

from __future__ import annotations

import io
import threading

import pytest
from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse

from joblot.models import Job
from joblot.server.bridge import Bridge, WholeResponse

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


def test_closing_ends_the_threads_and_their_connections(ledger_db: str) -> None:
    """Also if the pool counts a thread as idle that is not, as Python 3.13's sometimes does."""
    bridge = Bridge(4)
    bridge._pool.submit(Job.objects.count).result()
    bridge._pool._idle_semaphore.release()
    (used,) = (one for one in bridge._connections if one.connection is not None)
    closing = threading.Thread(target=bridge.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    assert used.connection is None
