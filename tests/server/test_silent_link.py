"""The link to PostgreSQL goes silent in the middle of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.db import connections

from joblot.config import default_policy
from joblot.database_url import SILENCE_SLACK_SECONDS
from joblot.ledger.claim.claim import claim
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.server import gateway
from joblot.standalone import SERVED_STATEMENT_SECONDS_MAX, database_of
from joblot.testing.postgres import PORT, PostgresServer
from tests.polling import eventually
from tests.server.served import Served
from tests.server.silent_link import SilentLink
from tests.threads import Threads

SILENCE_SECONDS_MAX = 2.0  # a busy server may be silent for a while too
IDLE = "-c idle_in_transaction_session_timeout=1s"  # for a server that receives nothing more
MARK = "moth 0815"
SUCCESS = {"outcome": "succeeded", "output": {"label": MARK}}
FAILURE = {"outcome": "failed", "error": {"type": "OSError", "message": MARK}, "retryable": True}


@pytest.fixture
def link(postgres_only: str, postgres_server: PostgresServer) -> Iterator[SilentLink]:
    """A link between servers started from now on and their database; the test bypasses it."""
    socket = postgres_server.home / f".s.PGSQL.{PORT}"
    with SilentLink(socket) as link:
        yield link


@pytest.fixture
def behind_link(link: SilentLink, local: None) -> Iterator[Callable[[float], None]]:
    """Servers connect like `joblot serve`, but with a shorter timeout for silence."""
    before = connections.settings["postgres"]

    def connect(silence_seconds_max: float) -> None:
        url = f"postgresql://joblot@127.0.0.1:{link.port}/joblot?connect_timeout=2&options={quote(IDLE)}"
        entry = database_of(url, SERVED_STATEMENT_SECONDS_MAX)
        entry["OPTIONS"]["silence_seconds_max"] = silence_seconds_max
        connections.settings["postgres"] = {**before, **entry}

    yield connect
    connections.settings["postgres"] = before


def health(served: Served) -> tuple[int, str]:
    """The answer to a caller without a token: it omits the cause, which is in the log."""
    answer = httpx.get(f"{served.url}/healthz", timeout=20, trust_env=False)
    return answer.status_code, answer.text


def receipts(answer: httpx.Response) -> list[str]:
    return [one["receipt"] for one in answer.json()["receipts"]]


def test_a_report_that_is_swallowed_is_refused_and_may_be_repeated(
    link: SilentLink,
    behind_link: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """New connections are silent too, until the link is back."""
    monkeypatch.setattr(gateway, "HEALTH_SECONDS_MAX", 0.5)
    behind_link(SILENCE_SECONDS_MAX)
    job = submit("night", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    body = {"lease": lease.token, "results": [{"item": 0, **SUCCESS}]}
    with Served(threads=2) as served, served.client(30) as http:
        link.swallow(MARK.encode(), arrives=False, new_ones=True)
        refused = http.post("results", json=body)
        assert link.went_silent.is_set()
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert health(served) == (503, '{"ok": false}')
        assert "not healthy: the database" in caplog.text
        link.mend()
        assert receipts(eventually_good(http, body)) == ["counted"]
        assert receipts(eventually_good(http, body)) == ["duplicate"]
        assert eventually(lambda: health(served) == (200, '{"ok": true}'))
    assert progress(job.pk)["status"] == "SUCCESS"


CASES = {
    "the report is swallowed": (SUCCESS, False, "counted", "SUCCESS"),
    "its answer is swallowed": (SUCCESS, True, "duplicate", "SUCCESS"),
    "in the middle of a transaction": (FAILURE, True, "requeued", "STARTED"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_connections_that_went_silent_are_left_and_a_report_counts_once(
    link: SilentLink, behind_link: Callable[[float], None], case: tuple[Any, bool, str, str]
) -> None:
    result, arrives, receipt, status = case
    behind_link(SILENCE_SECONDS_MAX)
    job = submit("night", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    body = {"lease": lease.token, "results": [{"item": 0, **result}]}
    with Served(threads=2) as served, served.client(30) as http:
        link.swallow(MARK.encode(), arrives=arrives)
        assert receipts(eventually_good(http, body)) == [receipt]
        assert link.went_silent.is_set()
        assert http.get(f"jobs/{job.pk}").json()["status"] == status
        assert receipts(eventually_good(http, body)) == ["duplicate"]


def eventually_good(http: httpx.Client, body: Any) -> httpx.Response:
    """Retry like a worker; return the first successful answer."""

    def post() -> httpx.Response | None:
        answer = http.post("results", json=body)
        return answer if answer.status_code == 200 else None

    answer = eventually(post)
    assert answer is not None
    return answer


def test_health_is_answered_while_every_thread_waits_for_the_database(
    link: SilentLink,
    behind_link: Callable[[float], None],
    in_thread: Threads,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(gateway, "HEALTH_SECONDS_MAX", 0.2)
    behind_link(3_600)
    submit("night", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    body = {"lease": lease.token, "results": [{"item": 0, **SUCCESS}]}
    with Served(threads=1) as served, served.client(30) as http:
        link.swallow(MARK.encode(), arrives=False)
        report = in_thread(http.post, "results", json=body)
        assert link.went_silent.wait(30)
        assert health(served) == (503, '{"ok": false}')
        assert "not healthy: the database" in caplog.text
        link.cut()
        assert receipts(report.result()) == ["counted"], "over another connection"


def test_a_request_waits_shorter_than_a_lease() -> None:
    """A report may wait for its first attempt, for the second, and for reconciling."""
    longest = SERVED_STATEMENT_SECONDS_MAX + SILENCE_SLACK_SECONDS
    assert 3 * longest < default_policy().lease_seconds
