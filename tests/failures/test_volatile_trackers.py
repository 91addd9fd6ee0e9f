"""RD: correctness that depends on a cache, a broker or a pooled connection."""

from __future__ import annotations

import subprocess
import sys
from threading import Barrier
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connections

from joblot.errors import Unavailable
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.report.hooks import on_result
from joblot.ledger.submit.submit import submit
from tests.ledger import worker
from tests.ledger.worker import counts, fail, keys, status, succeed

VOLATILE = ("redis", "nats", "celery", "kombu", "django.core.cache")


def test_RD1_a_connection_reset_is_no_verdict(ledger_db: str) -> None:
    """Every statement of a report fails once; the worker posts again, and the job completes."""
    job = submit("rd1", keys(3), pipeline="p")
    lease = worker.lease()
    resets = 0
    for nth in range(1, 20):
        left = nth

        def reset(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise OperationalError("connection reset by peer")
            return execute(sql, params, many, context)

        with connections[ledger_db].execute_wrapper(reset):
            try:
                succeed(lease)
            except Unavailable:
                resets += 1
        assert status(job) in ("STARTED", "SUCCESS")
    assert resets > 1
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 3})


def test_RD2_RD4_a_cache_that_is_flushed_changes_nothing(ledger_db: str, clock: Any) -> None:
    job = submit("rd2", keys(4), pipeline="p")
    succeed(worker.lease(limit=2))
    cache.clear()
    clock.forward(8 * 86_400)
    cache.clear()
    sweep()
    worker.drain()
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 4})


def test_RD2_the_ledger_knows_no_cache_and_no_broker() -> None:
    """By construction: importing all verbs imports neither."""
    script = (
        "import sys, joblot.standalone as s; s.setup(path=sys.argv[1])\n"
        "import joblot, joblot.ledger.maintain.sweep, joblot.ledger.read.audit\n"
        "[getattr(joblot, name) for name in joblot.__all__]\n"
        "import ast, pathlib\n"
        "for path in pathlib.Path(joblot.__file__).parent.joinpath('ledger').glob('*.py'):\n"
        "    for node in ast.walk(ast.parse(path.read_text())):\n"
        "        if isinstance(node, ast.ImportFrom): print(node.module)\n"
        "        if isinstance(node, ast.Import): print(*(a.name for a in node.names), sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, ":memory:"], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "joblot.models" in imported
    assert not [name for name in imported if name.startswith(VOLATILE)]


def test_RD5_no_result_is_dropped_because_another_is_slow(ledger_db: str, in_thread: Any) -> None:
    """Eight at once, one slow inside its transaction: each is counted or gets "try again"."""
    job = submit("rd5", keys(8), pipeline="p")
    leases = [worker.lease(limit=1) for _ in range(8)]
    together = Barrier(8)

    def slow(results: Any) -> None:
        sum(n * n for n in range(200_000))

    on_result("p")(slow)

    def post(lease: Any) -> list[str]:
        together.wait()
        return succeed(lease)

    posts = [in_thread(lambda lease=lease: post(lease)) for lease in leases]
    assert [one.result() for one in posts] == [["counted"]] * 8
    assert status(job) == "SUCCESS"


def test_RD6_a_socket_that_was_cut_while_idle_is_replaced(postgres_only: str, connect: Any) -> None:
    job = submit("rd6", keys(2), pipeline="p")
    lease = worker.lease()
    with connections[postgres_only].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with connect().cursor() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(Unavailable):
        succeed(lease)
    assert succeed(lease) == ["counted", "counted"]
    assert status(job) == "SUCCESS"


@pytest.mark.parametrize("success_first", [True, False])
def test_RD8_a_success_wins_whenever_it_comes(ledger_db: str, success_first: bool) -> None:
    job = submit("rd8", keys(1), pipeline="p")
    lease = worker.lease()
    acts = [lambda: succeed(lease), lambda: fail(lease)]
    receipts = [act() for act in (acts if success_first else reversed(acts))]
    assert receipts == [["counted"], ["superseded"] if success_first else ["amended"]]
    assert (status(job), counts(job)) == ("SUCCESS", {"succeeded": 1})
