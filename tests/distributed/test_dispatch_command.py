"""`joblot dispatch` and `joblot worker --nats` as processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from joblot.identity.tokens import issue
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.states import TERMINAL
from joblot.testing.postgres import PostgresServer
from joblot.wire import PRINTED
from tests.cli.conftest import Joblot, make_joblot
from tests.dispatch.nats_server import NatsServer
from tests.ledger.conftest import exact
from tests.ledger.worker import keys
from tests.polling import eventually

__all__ = ["exact", "make_joblot"]

ITEMS = 3_000
EXIT_SECONDS_MAX = 60


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server.start()


@pytest.fixture
def joblot(
    postgres_only: str,
    postgres_server: PostgresServer,
    make_joblot: Callable[..., Joblot],
    nats_server: NatsServer,
) -> Joblot:
    token, _ = issue("worker", ["work"])
    return make_joblot(
        JOBLOT_DATABASE_URL=postgres_server.url("joblot"),
        JOBLOT_NATS_URL=nats_server.url,
        JOBLOT_TOKEN=token,
    )


def test_a_dispatcher_that_is_killed_and_started_again(joblot: Joblot) -> None:
    """What it had sent expires, or is given back when it starts; nothing is lost or done twice."""
    asked = ("dispatch", "--pipeline", "upper", "--items", "32", "--window", "8")
    dispatcher = joblot.start(*asked)
    worker = joblot.start("worker", "work:upper", "--pipeline", "upper")
    job = submit("sent", keys(ITEMS), pipeline="upper", policy={"lease_seconds": 5}).pk

    def succeeded() -> int:
        sweep()
        return int(progress(job)["stages"][0]["succeeded"])

    eventually(lambda: succeeded() > ITEMS // 4)
    dispatcher.kill()
    dispatcher = joblot.start(*asked)
    eventually(lambda: succeeded() == ITEMS and progress(job)["status"] in TERMINAL)
    assert progress(job)["status"] == "SUCCESS"
    calls = joblot.lines("calls")
    assert set(calls) == set(keys(ITEMS))
    assert max(map(calls.count, set(calls))) <= 2
    for process in (worker, dispatcher):
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=EXIT_SECONDS_MAX)
        assert (process.returncode, "Traceback" in said[1]) == (0, False), said


def test_what_a_failed_item_prints_is_kept_over_nats_alone(joblot: Joblot) -> None:
    joblot.write(
        "says.py", "import os\n\n\ndef says(key):\n    os.write(1, b'low')\n    assert key != 'b'\n"
    )
    joblot.start("dispatch", "--pipeline", "p")
    joblot.start("worker", "says:says", "--pipeline", "p")
    job = submit("j", ["a", "b"], pipeline="p", policy={"failure_threshold": 1}).pk

    def printed() -> list[dict[str, Any]]:
        return [one for one in logs(job, limit=100) if one["source"] == PRINTED]

    (line,) = eventually(printed)
    assert (line["item"], line["message"]) == (1, "low")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("dispatch",), "--pipeline NAME"),
        (("dispatch", "--pipeline", "p", "--nats", "somewhere"), "nats://host:4222"),
        (("worker", "work:upper", "--pipeline", "p", "--job", "1"), "--job"),
    ],
)
def test_what_it_refuses(joblot: Joblot, asked: tuple[str, ...], says: str) -> None:
    assert says in joblot(*asked, expect=2).stderr
