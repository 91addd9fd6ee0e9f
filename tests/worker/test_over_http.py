"""The worker over HTTP, behind a network that loses, refuses or swallows, and recovers."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import NotAllowed, NotAuthenticated, WorkerRevoked
from joblot.identity.tokens import issue, revoke
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.lease import expire, expire_overdue
from joblot.ledger.maintain.revocation import revoke_worker
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.items import items
from joblot.ledger.read.progress import progress
from joblot.ledger.report import hooks
from joblot.ledger.submit.submit import submit
from joblot.models import Lease
from joblot.states import LeaseState
from joblot.wire import success
from joblot.worker import Handler, HttpClient, Worker, batched, each
from joblot.worker.spool import Spool, record_of
from tests.polling import eventually
from tests.worker.conftest import Working, ended, numbered
from tests.worker.scene import Scene
from tests.worker.server import Server


@pytest.fixture
def scene(
    working: Working, server: Server, client: HttpClient, tmp_path: Path, token: str
) -> Scene:
    return Scene(working, server, client, tmp_path, token)


def test_every_item_is_computed_once_and_counted(ledger_db: str, scene: Scene):
    job = submit("j", numbered(300), pipeline="p")
    with scene.serving(claim_ahead=True):
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(300)
    assert scene.left() == []
    assert not in_flight(job=job.pk)


def test_answers_that_are_lost_cost_no_computing(ledger_db: str, scene: Scene):
    job = submit("j", numbered(20), pipeline="p", policy={"lease_seconds": 60})
    scene.server.network.lose_answers.update({"claims": 1, "results": 2, "renew": 1})
    with scene.serving():
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(20)
    assert scene.server.network.lose_answers["results"] == 0


def test_a_server_slower_than_a_call_is_heard_in_the_end(ledger_db: str, scene: Scene):
    """Its renewals, on separate connections, are not delayed.

    The time limit of a call is long enough for a busy machine to answer the other requests.
    """
    job = submit("j", numbered(3), pipeline="p")
    slowness = threading.Event()
    scene.server.network.on_request = lambda path: path == "results" and slowness.wait(2.5)
    with HttpClient(scene.server.url, scene.token, call_seconds_max=1.0) as client:
        with scene.serving(client=client):
            assert ended(job.pk)["status"] == "SUCCESS"
            eventually(lambda: not any(path.stat().st_size for path in scene.files()))
        slowness.set()
    scene.once(3)


def test_a_server_that_asks_to_wait_is_met_by_one_post_and_not_by_each_result(
    ledger_db: str, scene: Scene
):
    submit("j", numbered(20), pipeline="p")
    away = b"HTTP/1.0 503 Away\r\nRetry-After: 600\r\n\r\n"
    scene.server.network.refuse["results"] = away
    with scene.serving(drain_seconds_max=0.2, claim_aim_seconds=9.0):
        eventually(lambda: len(scene.calls) == 20)
        eventually(lambda: scene.server.network.paths("results"))
    assert scene.server.network.paths("results") == 1


def test_a_server_that_is_away_in_the_middle_costs_no_computing(ledger_db: str, scene: Scene):
    job = submit("j", numbered(30), pipeline="p")
    stopped, go_on = threading.Event(), threading.Event()

    def work(n: int) -> int:
        if n == 5:
            stopped.set()
            assert go_on.wait(30)
        scene.calls[n] += 1
        return n

    with scene.serving(each(work)):
        assert stopped.wait(30)
        scene.server.stop()
        go_on.set()
        eventually(lambda: any(path.stat().st_size for path in scene.folder.glob("*/*.results")))
        scene.server.start()
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(30)


def test_a_worker_that_ends_while_the_server_is_away_leaves_its_results_to_the_next(
    ledger_db: str, scene: Scene
):
    job = submit("j", numbered(4), pipeline="p", policy={"lease_seconds": 600})
    scene.away()
    with scene.serving(drain_seconds_max=0.2) as worker:
        eventually(lambda: scene.server.network.paths("results"))
        worker.drain()
    done = set(scene.calls)
    assert done
    scene.back()
    with scene.serving(spools=scene.folder):
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(4)
    assert scene.left() == []


def test_what_is_left_is_posted_before_anything_is_claimed(ledger_db: str, scene: Scene):
    """Also if its lease has ended and its items wait: otherwise they would be computed again."""
    job = submit("j", numbered(3), pipeline="p", policy={"lease_seconds": 0.001})
    (lease,) = scene.client.claim(["p"], 3, job=None, worker="", idempotency_key="k").leases
    dead = Spool.begin(scene.folder)
    dead.keep([record_of(lease.token, success(n, "left")) for n in range(2)])
    dead.end()
    eventually(expire_overdue)
    claims_before, slowness = [], threading.Event()

    def answer_late(path: str) -> None:
        if path == "results":
            slowness.wait(0.3)
            claims_before.append(scene.server.network.paths("claims"))

    scene.server.network.on_request = answer_late
    with scene.serving(spools=scene.folder):
        ended(job.pk)
    assert claims_before[0] == 1  # the claim above
    assert scene.calls == Counter([2])
    assert [item["outcomes"][0]["output"] for item in items(job.pk)] == ["left", "left", 4]


def test_a_report_that_is_too_large_is_posted_in_halves_and_computed_once(
    ledger_db: str, scene: Scene
):
    """The worker does not know the proxy's limit: it finds it out and remembers it."""
    job = submit("j", numbered(64), pipeline="p")

    def work(numbers: list[int]) -> list[Any]:
        scene.calls.update(numbers)
        # Incompressible, so that it is as large on the wire.
        return [random_text(n) for n in numbers]

    scene.server.network.body_bytes_max = 20_000
    with scene.serving(batched(work), batch_items=32):
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(64)
    sizes = [size for path, _, size in scene.server.network.seen if path == "results"]
    assert sum(size > 20_000 for size in sizes) in (1, 2)
    assert len(sizes) >= 8


def random_text(seed: int, length: int = 2_000) -> str:
    return "".join(random.Random(seed).choices("0123456789abcdefghijklmnopqrstuv", k=length))


def test_one_result_that_is_too_large_fails_its_item_with_that_cause(ledger_db: str, scene: Scene):
    secret, _ = issue("worker", ["work"], body_bytes_max=5_000)
    job = submit("j", numbered(8), pipeline="p")

    def work(numbers: list[int]) -> list[str]:
        scene.calls.update(numbers)
        return ["x" * 6_000 if n == 3 else "y" for n in numbers]

    with (
        HttpClient(scene.server.url, secret) as client,
        scene.serving(batched(work), client=client, batch_items=8),
    ):
        assert ended(job.pk)["status"] == "COMPLETED_WITH_ERRORS"
    scene.once(8)
    (failed,) = items(job.pk, state="failed")
    error = failed["outcomes"][0]["error"]
    assert (failed["key"], error["type"]) == ("k3", "TooLarge")
    assert "5000 bytes" in error["message"]
    assert scene.left() == []


def test_a_full_spool_makes_the_function_wait_and_goes_on_with_the_server(
    ledger_db: str, scene: Scene
):
    job = submit("j", numbered(40), pipeline="p")
    spool = Spool.begin(scene.folder, bytes_max=2_000)
    scene.away()

    def work(n: int) -> str:
        scene.calls[n] += 1
        return "x" * 700

    with scene.serving(each(work), spool=spool, claim_aim_seconds=9.0):
        eventually(lambda: spool.bytes_used > 1_400)
        full = sum(scene.calls.values())
        scene.back()
        assert ended(job.pk)["status"] == "SUCCESS"
    assert full <= 5  # two on disk, one that found it full, one or two in progress
    assert spool.bytes_used == 0
    scene.once(40)


def test_a_drain_ends_though_the_spool_is_full_and_loses_nothing(ledger_db: str, scene: Scene):
    submit("j", numbered(40), pipeline="p")
    spool = Spool.begin(scene.folder, bytes_max=500)
    scene.away()

    def work(n: int) -> str:
        scene.calls[n] += 1
        return "x" * 700

    settings = {"claim_aim_seconds": 9.0, "drain_seconds_max": 0.2}
    with scene.serving(each(work), spool=spool, **settings) as worker:
        eventually(lambda: spool.bytes_used > 500)
        worker.drain()
    (dead,) = Spool.taken_over(scene.folder)
    assert Counter(left.result.item for left in dead.left()) == scene.calls
    dead.end()


def test_a_disk_that_fails_does_not_stop_the_work(ledger_db: str, scene: Scene, caplog):
    job = submit("j", numbered(5), pipeline="p")
    spool = Spool.begin(scene.folder)
    shutil.rmtree(spool.home)
    with scene.serving(spool=spool):
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(5)
    assert "in memory only" in caplog.text


def test_a_worker_whose_token_is_revoked_ends_and_keeps_what_it_has_computed(
    ledger_db: str, scene: Scene, in_thread
):
    secret, found = issue("worker", ["work"])
    job = submit("j", numbered(6), pipeline="p")

    def work(n: int) -> int:
        scene.calls[n] += 1
        if n == 0:
            revoke(found["id"])
        return n

    with HttpClient(scene.server.url, secret) as client:
        handlers = [Handler("p", each(work))]
        worker = Worker(client, handlers, spool=Spool.begin(scene.folder), spools=scene.folder)
        running = in_thread(worker.run)
        assert isinstance(running.error(), NotAuthenticated)
    assert len(scene.calls) >= 1
    good, _ = issue("another", ["work"])
    with HttpClient(scene.server.url, good) as client:
        worker = Worker(client, [Handler("p", each(work))], spools=scene.folder)
        running = in_thread(worker.run)
        eventually(lambda: progress(job.pk)["stages"][0]["succeeded"] >= len(scene.calls))
        expire_all()
        ended(job.pk)
        worker.drain()
        running.result()
    scene.once(6)


def test_a_worker_reads_its_token_file_again_and_loses_no_result(
    ledger_db: str, scene: Scene, in_thread, tmp_path: Path
):
    file = tmp_path / "token"
    secret, old = issue("worker", ["work"])
    file.write_text(secret)
    job = submit("j", numbered(6), pipeline="p")

    def work(n: int) -> int:
        scene.calls[n] += 1
        if n == 0:
            file.write_text(issue("worker", ["work"])[0])
            revoke(old["id"])
        return n

    with HttpClient(scene.server.url, secret, token_file=str(file)) as client:
        worker = Worker(client, [Handler("p", each(work))])
        running = in_thread(worker.run)
        assert ended(job.pk)["status"] == "SUCCESS"
        worker.drain()
        assert running.result() == 0
    scene.once(6)


def expire_all() -> None:
    for lease in Lease.objects.filter(state=LeaseState.LIVE):
        expire(lease.pk, "of a dead worker")


def test_a_pipeline_that_no_token_may_serve_ends_the_worker(ledger_db: str, scene: Scene):
    secret, _ = issue("worker", ["work"], pipelines=["other"])
    with HttpClient(scene.server.url, secret) as client, pytest.raises(NotAllowed):
        Worker(client, [Handler("p", each(len))]).run()


def test_a_pipeline_that_nobody_knows_is_reported_once(ledger_db: str, scene: Scene, caplog):
    submit("j", numbered(1), pipeline="another")
    with scene.serving():
        eventually(lambda: scene.server.network.paths("claims") >= 3)
    found = [record for record in caplog.records if "unknown_pipeline" in record.message]
    assert [record.levelname for record in found] == ["WARNING"]


def test_a_deferred_result_is_posted_again_and_computed_once(ledger_db: str, scene: Scene):
    saved = []

    @hooks.on_result("p")
    def save(results: Any) -> None:
        saved.append(len(results))
        if len(saved) == 1:
            raise RuntimeError("for now")

    job = submit("j", numbered(1), pipeline="p")
    with scene.serving():
        assert ended(job.pk)["status"] == "SUCCESS"
    scene.once(1)
    assert scene.left() == []


def test_a_revoked_worker_ends_and_another_is_not_refused_for_its_results(
    ledger_db: str, scene: Scene, in_thread
):
    secret, _ = issue("worker", ["work"])
    job = submit("j", numbered(3), pipeline="p")

    def work(n: int) -> int:
        if n == 1:
            revoke_worker(Lease.objects.values_list("owner", flat=True)[0] or 0, "gpu-1")
        return n

    with HttpClient(scene.server.url, secret, "gpu-1") as client:
        handlers = [Handler("p", each(work))]
        worker = Worker(client, handlers, spool=Spool.begin(scene.folder), spools=scene.folder)
        running = in_thread(worker.run)
        assert isinstance(running.error(), WorkerRevoked)
    with HttpClient(scene.server.url, secret, "gpu-2") as client:
        worker = Worker(client, [Handler("p", each(lambda n: n))], spools=scene.folder)
        running = in_thread(worker.run)
        assert ended(job.pk)["status"] == "SUCCESS"
        worker.drain()
        running.result()


def test_results_of_a_job_that_was_cancelled_get_their_receipts_and_leave_the_spool(
    ledger_db: str, scene: Scene
):
    job = submit("j", numbered(1), pipeline="p")

    def work(n: int) -> int:
        cancel(job.pk, grace_seconds=0)
        return n

    with scene.serving(each(work)):
        eventually(lambda: progress(job.pk)["finished_after_cancel"])
    assert scene.left() == []
