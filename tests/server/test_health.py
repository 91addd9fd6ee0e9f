"""The health check, for whatever restarts servers: is work being done?"""

from __future__ import annotations

import httpx

from joblot.ledger.submit.submit import submit
from joblot.testing.postgres import PostgresServer
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.raw import AUTHORIZED
from tests.server.served import Served


def ask(served: Served, path: str) -> tuple[int, list[str]]:
    url = f"{served.url}/{path}"
    answer = httpx.get(url, headers=AUTHORIZED, timeout=20, trust_env=False)
    return answer.status_code, answer.json()["wrong"]


def test_a_stranger_learns_up_or_down_and_no_more(
    durable_postgres: PostgresServer, local: None
) -> None:
    def told(path: str) -> object:
        return httpx.get(f"{served.url}/{path}", timeout=20, trust_env=False).json()

    with Served() as served:
        assert [told("healthz"), told("readyz")] == [{"ok": True}] * 2
        durable_postgres.stop()
        assert [told("healthz"), told("readyz")] == [{"ok": False}] * 2
        durable_postgres.start()


def test_a_server_that_works_says_so(served: Served) -> None:
    submit("night", keys(2), pipeline="p")
    assert ask(served, "readyz") == (200, [])
    assert ask(served, "healthz") == (200, [])


def test_a_database_that_is_down_is_reported_until_it_is_back(
    durable_postgres: PostgresServer, local: None
) -> None:
    """No restart is needed; a claim that waits meanwhile is not dropped."""
    with Served() as served, served.client() as http:
        submit("night", keys(2), pipeline="p")
        durable_postgres.stop()
        for path in ("healthz", "readyz"):
            status, wrong = ask(served, path)
            assert (status, len(wrong)) == (503, 1)
            assert "database" in wrong[0]
        refused = http.post("claims", json={"pipelines": ["p"], "wait_seconds": 1})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["retry_after_seconds"] > 0
        durable_postgres.start()
        assert eventually(lambda: ask(served, "readyz")[0] == 200)
        claimed = http.post("claims", json={"pipelines": ["p"]}).json()
        assert len(claimed["leases"][0]["items"]) == 2
