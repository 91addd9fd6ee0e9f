"""Workers behind a faulty network: every count is exact, and nothing is done twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.states import TERMINAL
from joblot.worker import Handler, HttpClient, Worker, WorkerSettings, backoff, each
from joblot.worker.function import Output
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.server.fault_proxy import CUT, NO_ANSWER, SILENT, TWICE, Fault, FaultProxy, seeded
from tests.server.raw import AUTHORIZED, TOKEN
from tests.server.served import Served
from tests.threads import Threads

CALL_SECONDS_MAX = 1.0


@pytest.fixture
def proxy(
    served: Served, monkeypatch: pytest.MonkeyPatch, configure: Callable[..., None]
) -> Iterator[FaultProxy]:
    """A proxy before the server. Claims are small, so that there are many requests, and workers
    retry quickly.
    """
    configure(claim_items_max=4)
    monkeypatch.setattr(backoff, "BACKOFF_SECONDS", 0.02)
    with FaultProxy(served.port) as proxy:
        yield proxy


class Crew:
    """Workers of pipeline "p", each in a thread, connected through the proxy."""

    def __init__(self, proxy: FaultProxy, in_thread: Threads) -> None:
        self.calls: Counter[str] = Counter()
        self._proxy = proxy
        self._in_thread = in_thread

    def work(self, job: Job, workers: int) -> dict[str, Any]:
        """Work until the job has ended; returns its progress."""
        running = []
        for number in range(workers):
            client = HttpClient(
                self._proxy.url, TOKEN, f"w{number}", call_seconds_max=CALL_SECONDS_MAX
            )
            settings = WorkerSettings(idle_seconds_max=0.05, claim_aim_seconds=0.2)
            worker = Worker(client, [Handler("p", each(self._compute), 1)], settings)
            running.append((client, worker, self._in_thread(worker.run)))
        try:
            eventually(lambda: progress(job.pk)["status"] in TERMINAL)
        finally:
            for _, worker, _ in running:
                worker.drain()
            for client, _, thread in running:
                with client:
                    assert thread.result() == 0, "results were left without a receipt"
        return progress(job.pk)

    def _compute(self, key: str) -> Output:
        self.calls[key] += 1
        return Output({"key": key}, {"computed": 1})


@pytest.fixture
def crew(proxy: FaultProxy, in_thread: Threads) -> Crew:
    return Crew(proxy, in_thread)


def exact(job: Job, reply: dict[str, Any], count: int) -> None:
    (stage,) = reply["stages"]
    assert (reply["status"], stage["succeeded"], stage["in_flight"]) == ("SUCCESS", count, 0)
    assert stage["metrics"] == {"computed": count}
    assert all(item["state"] == "succeeded" for item in items(job.pk, limit=1000))


FAULTS = {
    "cut": CUT,
    "answer lost": NO_ANSWER,
    "answer cut": Fault(answer_bytes=30),
    "twice": TWICE,
    "twice, answer lost": Fault(times=2, answer_bytes=0),
    "trickle": Fault(trickle_bytes=25),
    "delay": Fault(delay_seconds=0.05),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_each_fault_at_every_second_request(proxy: FaultProxy, crew: Crew, fault: Fault) -> None:
    job = submit("night", keys(40), pipeline="p")
    proxy.script([fault if n % 2 else Fault() for n in range(120)])
    exact(job, crew.work(job, workers=2), 40)
    assert proxy.faults >= 4
    assert set(crew.calls.values()) == {1}, "something was computed again"


def test_faults_by_chance(proxy: FaultProxy, crew: Crew) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    job = submit("night", keys(100), pipeline="p")
    proxy.next_fault = seeded(seed, share=0.4)
    exact(job, crew.work(job, workers=3), 100)
    assert proxy.faults
    assert set(crew.calls.values()) == {1}, f"seed {seed}: something was computed again"


def test_a_network_that_swallows_requests_costs_a_call(proxy: FaultProxy, crew: Crew) -> None:
    """Each call has a deadline, after which it is repeated."""
    job = submit("night", keys(10), pipeline="p")
    proxy.script([SILENT, Fault(), SILENT])
    exact(job, crew.work(job, workers=1), 10)
    assert proxy.faults == 2
    assert set(crew.calls.values()) == {1}


def post(url: str, path: str, body: Any) -> httpx.Response:
    url = f"{url}/api/v1/{path}"
    return httpx.post(url, json=body, headers=AUTHORIZED, timeout=60, verify=False, trust_env=False)


def lost(act: Callable[[], object]) -> None:
    with pytest.raises(httpx.TransportError):
        act()


def test_a_lost_answer_to_a_claim_is_the_same_lease_again(proxy: FaultProxy) -> None:
    submit("night", keys(4), pipeline="p")
    proxy.script([NO_ANSWER, Fault(answer_bytes=100)])
    asked = {"pipelines": ["p"], "limit": 2, "idempotency_key": "one claim"}
    lost(lambda: post(proxy.url, "claims", asked))
    lost(lambda: post(proxy.url, "claims", asked))
    first = post(proxy.url, "claims", asked).json()["leases"]
    assert first == post(proxy.url, "claims", asked).json()["leases"]
    assert [item["attempt"] for item in first[0]["items"]] == [1, 1]
    other = post(proxy.url, "claims", {**asked, "idempotency_key": "another"}).json()["leases"]
    assert [item["id"] for item in other[0]["items"]] == [2, 3]


def test_a_lost_answer_to_a_report_is_given_again(proxy: FaultProxy) -> None:
    job = submit("night", keys(3), pipeline="p")
    (lease,) = post(proxy.url, "claims", {"pipelines": ["p"]}).json()["leases"]
    results = [{"item": n, "outcome": "succeeded", "metrics": {"m": 5}} for n in range(3)]
    report = {"lease": lease["token"], "results": results}
    proxy.script([NO_ANSWER])
    lost(lambda: post(proxy.url, "results", report))
    reply = post(proxy.url, "results", report).json()["receipts"]
    assert [one["receipt"] for one in reply] == ["duplicate"] * 3
    assert progress(job.pk)["stages"][0]["metrics"] == {"m": 15}


def test_a_lost_answer_to_submitting_finds_the_same_job(proxy: FaultProxy) -> None:
    proxy.script([NO_ANSWER, Fault(request_bytes=200), TWICE])
    body = {"name": "night", "pipeline": "p", "items": keys(5), "idempotency_key": "tonight"}
    lost(lambda: post(proxy.url, "jobs", body))
    lost(lambda: post(proxy.url, "jobs", body))
    reply = post(proxy.url, "jobs", body).json()
    assert reply["total"] == 5
    assert [job.pk for job in Job.objects.all()] == [reply["id"]]


def test_a_lost_answer_to_a_retry_begins_one_run(proxy: FaultProxy) -> None:
    job = submit("night", keys(1), pipeline="p", policy={"failures_max": 1})
    (lease,) = post(proxy.url, "claims", {"pipelines": ["p"]}).json()["leases"]
    failed = {"item": 0, "outcome": "failed", "error": {"type": "Bad", "message": "torn"}}
    post(proxy.url, "results", {"lease": lease["token"], "results": [failed]})
    proxy.script([NO_ANSWER, TWICE])
    lost(lambda: post(proxy.url, f"jobs/{job.pk}/retry", {"run": 2}))
    assert post(proxy.url, f"jobs/{job.pk}/retry", {"run": 2}).json()["run"] == 2
