"""`joblot sweep`, once and with --forever."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

from joblot.clock import set_clock
from joblot.ledger.claim.claim import claim
from joblot.ledger.submit.submit import submit
from tests.cli.conftest import Joblot
from tests.cli.test_commands import call, read
from tests.polling import eventually

UNDELIVERED = "SELECT count(*) FROM joblot_event WHERE dispatched_at IS NULL"


def test_a_sweep_does_what_is_due(ledger_db: str):
    job = submit("three", ["a", "b", "c"], pipeline="p").pk
    claim("p", 2)
    with set_clock(datetime.now(UTC) + timedelta(days=1)):
        assert read("sweep")["leases_expired"] == 1
        assert "leases expired: 0" in call("sweep").stdout
        assert {one["code"] for one in read("why", job)["reasons"]} == {"unserved"}


def test_a_command_that_runs_forever_has_no_json(sqlite_only: str):
    done = call("sweep", "--forever", "--json")
    assert done.exit_code == 2
    assert "leave out --forever" in done.stderr


def test_it_sweeps_until_it_is_stopped(joblot: Joblot):
    joblot("submit", "told", "--lines", "-", "--pipeline", "p", given="a\n")
    sweeping = joblot.start("sweep", "--forever")
    eventually(lambda: joblot.count(UNDELIVERED) == 0)
    sweeping.send_signal(signal.SIGTERM)
    _, output = sweeping.communicate(timeout=60)
    assert (sweeping.returncode, output.count("\n")) == (0, 1)
    assert "joblot sweeps SQLite" in output
