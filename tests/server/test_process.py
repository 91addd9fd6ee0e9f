"""`joblot serve` as users run it: started, stopped, killed, restarted."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from joblot.errors import InvalidInput
from joblot.server.serve import _bind
from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.proc import alive
from tests.server.process import Serving
from tests.server.raw import Raw, request

JOB = {"name": "night", "pipeline": "p", "items": [f"k{n}" for n in range(20)]}


def claim(server: Serving, **asked: Any) -> Any:
    return server.post("claims", {"pipelines": ["p"], **asked})["leases"]


def report_of(lease: Any) -> dict[str, Any]:
    results = [{"item": item["id"], "outcome": "succeeded"} for item in lease["items"]]
    return {"lease": lease["token"], "results": results}


def receipts(answer: Any) -> set[str]:
    return {one["receipt"] for one in answer["receipts"]}


@contextmanager
def writes_locked(joblot: Joblot) -> Iterator[Callable[[], object]]:
    """Block all writes, until the yielded function is called."""
    if url := joblot.environment.get("JOBLOT_DATABASE_URL"):
        with psycopg.connect(url) as server:
            server.execute("LOCK TABLE joblot_lease, joblot_outcome IN EXCLUSIVE MODE")
            yield server.rollback
        return
    path = joblot.folder / "data" / "joblot" / "joblot.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        yield file.rollback


def listens(server: Serving) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except OSError:
        return False
    return True


# What asyncio of Python 3.13 prints about a connection that came while its server closed.
OF_PYTHON = re.compile(
    r"Exception ignored in: <function _SelectorTransport\.__del__ [^>]*>\n"
    r"Traceback \(most recent call last\):\n(?:  .*\n)*"
    r"TypeError: 'NoneType' object is not iterable\n"
)
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


def announced(report: bytes) -> bytes:
    """The request with `Expect`, which the server answers once it has begun to read it."""
    return report.replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)


def stop_with_reports_in_flight(joblot: Joblot, server: Serving) -> None:
    """Reports in flight get their receipts, waiting claims are answered at once, and it ends."""
    with ExitStack() as open_:
        server.post("jobs", JOB, expect=201)
        idle = open_.enter_context(Raw(server.port))
        idle.send(request("POST", "/api/v1/claims", {"pipelines": ["none"], "wait_seconds": 30}))
        leases = [claim(server, limit=5)[0] for _ in range(4)]
        reports = [announced(request("POST", "/api/v1/results", report_of(one))) for one in leases]
        flights = [open_.enter_context(Raw(server.port)) for _ in reports]
        with writes_locked(joblot) as unlock:
            for flight, report in zip(flights, reports, strict=True):
                flight.send(report[:-10])
                assert flight.socket.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
            flights[0].send(reports[0][-10:])
            server.hang_up()
            server.stop()
            eventually(lambda: not listens(server))
            assert idle.json()["leases"] == []
            for flight, report in zip(flights[1:], reports[1:], strict=True):
                flight.send(report[-10:])
            assert server.process.poll() is None
            unlock()
            assert [receipts(flight.json()) for flight in flights] == [{"counted"}] * 4
        assert server.exit_code() == 0
        assert "Traceback" not in OF_PYTHON.sub("", "".join(server.said))


def test_two_servers_make_the_tables_together_and_one_stops(
    make_joblot: Callable[..., Joblot],
) -> None:
    joblot = make_joblot()
    with Serving(joblot) as server, Serving(joblot) as other:
        assert [one.health().status_code for one in (server, other)] == [200, 200]
        stop_with_reports_in_flight(joblot, server)
        assert other.http.get("jobs/1").json()["status"] == "SUCCESS"


def test_servers_of_several_processes_share_the_work_and_stop(joblot_on_postgres: Joblot) -> None:
    """On an empty database: one of them creates the tables, the other waits for it."""
    joblot, two = joblot_on_postgres, ("--processes", "2")
    with Serving(joblot, *two) as server, Serving(joblot, *two) as other:
        assert [one.health().status_code for one in (server, other)] == [200, 200]
        eventually(lambda: len(server.workers()) == 2)
        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: len(set(server.workers()) - {killed}) == 2)
        stop_with_reports_in_flight(joblot, server)
        assert other.http.get("jobs/1").json()["status"] == "SUCCESS"
        workers = other.workers()
        os.kill(other.process.pid, signal.SIGKILL)  # the main process: the others end with it
        eventually(lambda: not any(map(alive, workers)))
        with pytest.raises(httpx.TransportError):
            other.health()


def counted(server: Serving) -> set[str]:
    """The line of the counted results, as each process answers it, on a connection of its own."""
    root = f"http://127.0.0.1:{server.port}/metrics"
    asked: dict[str, Any] = {"headers": server.http.headers, "timeout": 60, "trust_env": False}
    texts = [httpx.get(root, **asked).text for _ in range(8)]
    line = 'joblot_receipts_total{outcome="succeeded",receipt="counted"} '
    return {row for text in texts for row in text.splitlines() if row.startswith(line)}


def test_several_processes_add_up_what_metrics_count(joblot_on_postgres: Joblot) -> None:
    with Serving(joblot_on_postgres, "--processes", "2") as server:
        server.post("jobs", JOB, expect=201)
        for _ in range(4):
            with httpx.Client(
                base_url=server.http.base_url,
                headers=server.http.headers,
                timeout=60,
                trust_env=False,
            ) as http:
                claimed = http.post("claims", json={"pipelines": ["p"], "limit": 5}).json()
                (lease,) = claimed["leases"]
                assert http.post("results", json=report_of(lease)).status_code == 200
        assert counted(server) == {
            'joblot_receipts_total{outcome="succeeded",receipt="counted"} 20.0'
        }


def test_a_server_is_killed_and_started_again(joblot: Joblot) -> None:
    """Counted results stay, those in flight are reported again, and their lease continues."""
    with Serving(joblot) as server:
        server.post("jobs", JOB, expect=201)
        first, second = claim(server, limit=10)[0], claim(server, limit=10)[0]
        assert receipts(server.post("results", report_of(first))) == {"counted"}
        with writes_locked(joblot), Raw(server.port) as flight:
            flight.send(request("POST", "/api/v1/results", report_of(second)))
            server.kill()
    with Serving(joblot) as server:
        assert receipts(server.post("results", report_of(first))) == {"duplicate"}
        assert receipts(server.post("results", report_of(second))) == {"counted"}
        job = server.http.get("jobs/1").json()
        assert (job["status"], job["stages"][0]["succeeded"]) == ("SUCCESS", 20)
        assert server.http.get("jobs/1/audit").json()["ok"]
        assert server.health().status_code == 200


def test_an_address_that_others_reach_needs_a_token(joblot: Joblot) -> None:
    refused = joblot("serve", "--host", "0.0.0.0", "--port", "0", expect=3)
    assert "token" in refused.stderr


def test_sqlite_takes_one_process(joblot: Joblot) -> None:
    refused = joblot("serve", "--port", "0", "--processes", "2", expect=2)
    assert "PostgreSQL" in refused.stderr


def test_processes_that_can_not_start_end_the_server(joblot_on_postgres: Joblot) -> None:
    joblot = joblot_on_postgres
    joblot.write(
        "settings_of_theirs.py",
        "import os\nfrom joblot.standalone import database_of\n"
        "DATABASES = {'default': database_of(os.environ['JOBLOT_DATABASE_URL'])}\n"
        "INSTALLED_APPS, ROOT_URLCONF, USE_TZ = ['joblot'], 'joblot.api.urls', True\n"
        "SECRET_KEY, MIDDLEWARE = 'theirs', ['nowhere.Middleware']\n",
    )
    joblot.environment["DJANGO_SETTINGS_MODULE"] = "settings_of_theirs"
    done = joblot("serve", "--port", "0", "--processes", "2", expect=4)
    assert "a process can't start: ModuleNotFoundError: No module named 'nowhere'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("joblot: a process can't start")


def test_a_taken_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"127.0.0.1:{port} can't be bound.*--port"):
            _bind("127.0.0.1", port)
