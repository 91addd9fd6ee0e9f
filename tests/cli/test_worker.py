"""`joblot worker`: real processes, a real server, and kills of either in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from joblot.ledger.lease import expire
from joblot.ledger.read.audit import audit
from joblot.ledger.read.items import items
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.progress import progress
from joblot.ledger.read.workers import workers
from joblot.ledger.submit.submit import submit
from joblot.models import Job, Lease
from joblot.states import TERMINAL, LeaseState
from tests.cli.conftest import Joblot
from tests.polling import eventually
from tests.ports import kept
from tests.proc import alive, children, command
from tests.web.people import person
from tests.worker.conftest import server, token
from tests.worker.server import Server

__all__ = ["server", "token"]


@dataclass
class Served:
    """Worker processes, and the server that they work for, on the test's database."""

    joblot: Joblot
    server: Server

    def submit(self, *keys: str, **policy: float) -> Job:
        return submit("j", keys, pipeline="p", policy={"retry_backoff_seconds": 0.01, **policy})

    def work(self, *options: str, pipeline: str = "p") -> subprocess.Popen[str]:
        """Start a worker and wait for its first line, so that signals reach it."""
        options = (*options, "--pipeline", pipeline) if pipeline else options
        worker = self.joblot.start("worker", *options, "--url", self.server.url)
        _line(worker, "joblot worker: serving")
        return worker

    def ended(self, job: Job, *, dead: str = "") -> Counter[str]:
        """Return the outcomes of the items, once all have one.

        The leases of a `dead` worker are ended explicitly, also one granted as it died.
        """

        def looked() -> bool:
            for lease in _live():
                if lease.worker == dead:
                    expire(lease.pk)
            return progress(job.pk)["status"] in TERMINAL

        eventually(looked)
        assert audit(job.pk)["ok"]
        (stage,) = progress(job.pk)["stages"]
        return Counter({name: stage[name] for name in ("succeeded", "failed", "lost")})

    def calls(self) -> Counter[str]:
        return Counter(self.joblot.lines("calls"))

    def kept(self) -> list[Path]:
        """The files with results that have no receipts yet."""
        found = (self.joblot.folder / "data" / "joblot" / "spool").glob("*/*/*.results")
        return [path for path in found if path.stat().st_size]


@pytest.fixture
def served(sqlite_only: str, server: Server, token: str, joblot: Joblot) -> Served:
    joblot.environment["JOBLOT_TOKEN"] = token
    return Served(joblot, server)


def _line(process: subprocess.Popen[str], said: str) -> str:
    assert process.stderr is not None
    return next(line for line in iter(process.stderr.readline, "") if said in line)


def _drained(worker: subprocess.Popen[str]) -> str:
    """The output of a process that must exit with 0."""
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    return said


def _child(worker: subprocess.Popen[str]) -> int:
    """Return its only worker process."""
    return eventually(lambda: children(worker.pid))[0]


def _live() -> list[Lease]:
    return list(Lease.objects.filter(state=LeaseState.LIVE))


def _holds(lease: Lease, number: int) -> bool:
    return any(first <= number <= last for first, last, *_ in lease.ranges)


NAMES = [f"n{n}" for n in range(30)]
FROZEN_SECONDS = "2"  # even an empty call may take a while


def test_what_a_failed_item_prints_is_kept_with_it(served: Served):
    served.joblot.write(
        "says.py",
        "import os\n\n\ndef says(key):\n    print('looks at', key)\n    os.system('echo too')\n"
        "    assert key != 'b'\n    return key\n",
    )
    job = served.submit("a", "b", failure_threshold=1)
    worker = served.work("says:says")
    assert served.ended(job) == {"succeeded": 1, "failed": 1, "lost": 0}
    eventually(lambda: any(one["source"] == "printed" for one in logs(job.pk, limit=100)))
    (line,) = (one for one in logs(job.pk, limit=100) if one["source"] == "printed")
    assert (line["item"], line["message"]) == (1, "looks at b\ntoo")
    worker.send_signal(signal.SIGTERM)
    worker.wait()


def test_a_worker_needs_no_django(served: Served):
    """Nor do its processes: Django is replaced by a package that can't be imported."""
    (served.joblot.folder / "none" / "django").mkdir(parents=True)
    served.joblot.write("none/django/__init__.py", "raise ImportError('there is no Django')\n")
    served.joblot.environment["PYTHONPATH"] = str(served.joblot.folder / "none")
    job = served.submit(*NAMES)
    worker = served.work("work:upper", "--processes", "2")
    assert served.ended(job) == Counter(succeeded=30)
    _drained(worker)
    assert served.calls() == Counter(NAMES)


def test_a_worker_process_is_replaced_after_some_items(served: Served):
    job = served.submit("gate", *NAMES)
    worker = served.work("work:gated", "--recycle-items", "10", "--verbose")
    first = served.joblot.at_gate()
    served.joblot.open_gate()
    assert served.ended(job) == Counter(succeeded=31)
    assert _child(worker) != first
    said = _drained(worker)
    assert said.count("a worker is replaced: it has processed 10 items") == 3
    assert "a new one starts" not in said
    assert served.calls() == Counter(["gate", *NAMES])


def test_a_killed_worker_process_is_replaced_and_costs_a_new_lease_at_most(served: Served):
    job = served.submit("gate", *NAMES)
    worker = served.work("work:gated")
    process = served.joblot.at_gate()
    dead = _live()[0].worker
    os.kill(process, signal.SIGKILL)
    served.joblot.open_gate()
    assert served.ended(job, dead=dead) == Counter(succeeded=31)
    assert "a worker ended (signal 9); a new one starts" in _drained(worker)
    assert served.calls() == Counter(["gate", "gate", *NAMES])


def test_of_two_workers_the_killed_one_is_shown_offline_with_what_it_holds(served: Served):
    served.submit("gate", lease_seconds=2)
    killed = served.work("work:gated")
    process = served.joblot.at_gate()
    (lease,) = _live()
    served.work("work:gated")
    eventually(lambda: len(workers()) == 2)
    killed.kill()
    os.kill(process, signal.SIGKILL)
    eventually(lambda: sorted(one["state"] for one in workers()) == ["offline", "online"])
    (offline,) = (one for one in workers() if one["state"] == "offline")
    assert (offline["instance"], offline["leases"], offline["items"]) == (lease.worker, 1, 1)
    page = unescape(person("ana", "operator").get("/workers").content.decode())
    (row,) = re.findall(rf'<tr[^>]*id="worker-{lease.worker}">.*?</tr>', page, re.DOTALL)
    assert re.search(r'offline.*data-label="Items" class="num">1<', row, re.DOTALL)


def test_results_survive_the_server_and_the_worker(served: Served):
    """Both end with a result that was computed but not posted; the next worker posts it."""
    job = served.submit("gate")
    worker = served.work("work:gated")
    process = served.joblot.at_gate()
    served.server.stop()
    served.joblot.open_gate()
    eventually(served.kept)
    os.kill(process, signal.SIGKILL)
    worker.kill()
    worker.wait()
    served.server.start()
    again = served.work("work:gated")
    assert served.ended(job) == Counter(succeeded=1)
    _drained(again)
    assert served.calls() == Counter(["gate"])
    assert not served.kept()


def test_an_item_that_kills_its_worker_every_time_is_lost_alone(served: Served):
    """The dead process's leases are ended explicitly: a short lease might expire elsewhere."""
    names = [*NAMES[:8], "poison", *NAMES[8:16]]
    job = served.submit(*names, lease_seconds=600, expiries_max=1)
    worker = served.work("work:poison")
    killed = 0

    def looked() -> bool:
        nonlocal killed
        if served.calls()["poison"] > killed:
            killed += 1
            dead = next(one.worker for one in _live() if _holds(one, names.index("poison")))
            for lease in _live():
                if lease.worker == dead:
                    expire(lease.pk)
        return progress(job.pk)["status"] in TERMINAL

    eventually(looked)
    assert served.ended(job) == Counter(succeeded=16, lost=1)
    _drained(worker)


def test_a_frozen_call_loses_its_lease_and_its_process_is_replaced(served: Served):
    job = served.submit("gate", "other")
    worker = served.work("work:gated", "--item-seconds-max", FROZEN_SECONDS)
    served.joblot.at_gate()
    dead = _live()[0].worker
    _line(worker, "frozen: no progress for too long")
    served.joblot.open_gate()
    assert served.ended(job, dead=dead) == Counter(succeeded=2)
    assert served.calls() == Counter(["gate", "gate", "other"])
    _drained(worker)


def test_a_drain_finishes_the_call_gives_back_the_rest_and_ends_well(served: Served):
    job = served.submit("gate", *NAMES)
    worker = served.work("work:gated")
    served.joblot.at_gate()
    worker.send_signal(signal.SIGTERM)
    _line(worker, "finishing the items in progress")
    served.joblot.open_gate()
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert max(served.calls().values()) == 1
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"], stage["in_flight"]) == (served.calls().total(), 0)


def test_a_second_signal_ends_it_at_once(served: Served):
    served.submit("gate")
    worker = served.work("work:gated")
    process = served.joblot.at_gate()
    worker.send_signal(signal.SIGINT)
    _line(worker, "finishing the items in progress")
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=60)
    assert worker.returncode == 130
    assert not alive(process)


def test_processes_whose_crew_is_killed_finish_and_end(served: Served):
    job = served.submit("gate", *NAMES)
    worker = served.work("work:gated")
    process = served.joblot.at_gate()
    worker.kill()
    worker.wait()
    served.joblot.open_gate()
    eventually(lambda: not alive(process))
    (stage,) = progress(job.pk)["stages"]
    assert (stage["succeeded"] > 0, stage["in_flight"]) == (True, 0)


def test_a_command_works_items(served: Served):
    tool = served.joblot.folder / "tool"
    tool.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        '  bad) echo "$1 is bad" >&2; exit 3;;\n'
        "  busy) [ -e was-busy ] || { touch was-busy; exit 75; };;\n"
        'esac\necho "{\\"name\\": \\"$1\\"}"\n'
    )
    tool.chmod(0o700)
    job = served.submit("good", "bad", "busy", "a b;c")
    worker = served.work("--exec", "./tool {key}")
    assert served.ended(job) == Counter(succeeded=3, failed=1)
    _drained(worker)
    outcomes: dict[str, Any] = {item["key"]: item["outcomes"][0] for item in items(job.pk)}
    assert outcomes["a b;c"]["output"] == {"name": "a b;c"}
    assert outcomes["bad"]["error"]["message"] == "exit code 3: bad is bad"


def test_functions_that_say_what_they_serve(served: Served):
    served.joblot.write(
        "mine.py",
        "from joblot.worker import work\n\n"
        "@work('p', batch=8)\nasync def double(keys):\n    return [2 * key for key in keys]\n",
    )
    job = served.submit(*NAMES)
    worker = served.work("mine", pipeline="")
    assert served.ended(job) == Counter(succeeded=30)
    _drained(worker)
    assert next(iter(items(job.pk)))["outcomes"][0]["output"] == "n0n0"


@pytest.fixture
def port() -> Iterator[str]:
    with kept() as port:
        yield str(port)


def local_token(joblot: Joblot) -> dict[str, str]:
    """The header in the file named by the command."""
    name, _, value = Path(joblot("token", "local").stdout.strip()).read_text().partition(": ")
    return {name: value.strip()}


def test_a_server_that_is_killed_in_the_middle_costs_no_computing(joblot: Joblot, port: str):
    """A real server is killed with SIGKILL, and another one starts on the same address."""
    server = joblot.start("serve", "--port", port)
    url = _line(server, "joblot serves ").split()[2]
    names = ["gate", *NAMES]
    job = {"name": "j", "pipeline": "p", "items": names}
    answer = httpx.post(f"{url}/api/v1/jobs", json=job, headers=local_token(joblot), timeout=60)
    answer.raise_for_status()
    worker = joblot.start("worker", "work:gated", "--pipeline", "p", "--url", url)
    joblot.at_gate()
    server.kill()
    server.wait()
    joblot.open_gate()
    waits = _line(worker, " to be reported")
    assert re.match(
        r"20\d\d-\d\d-\d\dT[\d:.]{12}Z joblot worker \d+ WARNING: \d+ results? waits?", waits
    )
    again = joblot.start("serve", "--port", port)
    _line(again, "joblot serves ")
    eventually(lambda: joblot.settled() == len(names))
    _drained(worker)
    assert Counter(joblot.lines("calls")) == Counter(names)
    assert joblot.json("audit", "1")["ok"]


SECRET = "joblot_secret"


def test_a_token_that_is_no_good_ends_it_and_is_never_shown(served: Served):
    del served.joblot.environment["JOBLOT_TOKEN"]
    served.joblot.write("token", f"{SECRET}\n")
    options = ["worker", "work:upper", "--pipeline", "p", "--url", served.server.url, "-v"]
    for environment in ({"JOBLOT_TOKEN": SECRET}, {"JOBLOT_TOKEN_FILE": "token"}):
        done = served.joblot(*options, expect=3, **environment)
        assert done.stderr.splitlines()[-1].startswith("joblot: ")
        assert SECRET not in done.stdout + done.stderr


def test_a_token_is_seen_by_nobody_else(served: Served):
    """It is in no process's command line, which all users of the machine can read."""
    worker = served.work("work:upper")
    for pid in (worker.pid, _child(worker)):
        assert "python" in command(pid)
        assert served.joblot.environment["JOBLOT_TOKEN"] not in command(pid)
    _drained(worker)


NOWHERE = ["--url", "http://127.0.0.1:9", "--pipeline", "p"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["work:upper", "--pipeline", "p"], 2, "JOBLOT_URL"),
        (NOWHERE, 2, "FUNC or --exec"),
        (["work:nothing", *NOWHERE], 2, "has no nothing"),
        (["work:upper", *NOWHERE, "--spool", "work.py"], 4, "--spool"),
    ],
)
def test_what_cannot_work_is_one_line_and_a_code(joblot: Joblot, options, code: int, said: str):
    done = joblot("worker", *options, expect=code)
    (line,) = done.stderr.splitlines()
    assert line.startswith("joblot: ")
    assert said in line


def test_a_server_that_is_not_there_is_waited_for(joblot: Joblot):
    options = ["work:upper", "--pipeline", "p", "--url", "http://127.0.0.1:9"]
    worker = joblot.start("worker", *options)
    _line(worker, "the claim failed, retrying in")
    _drained(worker)
