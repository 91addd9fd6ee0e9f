"""Handlers that hang, fail and die, in real processes: what they delay, and what they don't."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from joblot.delivery.supervisor import supervise_until
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel
from joblot.ledger.read.health import health
from joblot.ledger.read.history import events
from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import on_event
from joblot.ledger.submit.submit import submit
from joblot.models import Delivery
from tests.delivery.shop import Shop, deliverers, finished
from tests.ledger import worker
from tests.ledger.worker import keys, status
from tests.polling import eventually
from tests.proc import alive

Saved = Callable[[], dict[str, str]]
MakeShop = Callable[..., Shop]


def open_deliveries() -> list[str]:
    rows = Delivery.objects.filter(delivered_at=None)
    return [handler.rpartition(".")[2] for handler in rows.values_list("handler", flat=True)]


def url(shop: Shop) -> str:
    found = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", shop.said))
    return found[0]


def healthy(shop: Shop) -> bool:
    answer = httpx.get(f"{url(shop)}/healthz", timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return True


def test_a_handler_that_hangs_forever_stops_nothing_but_its_own_jobs_later_events(
    make_shop: MakeShop, saved: Saved
) -> None:
    shop = make_shop(handler_seconds_max=2, handler_slow_seconds=0.2)
    server = shop.start("serve", "--port", "0")
    hung = finished("hang")
    first = shop.hanging()
    assert healthy(shop)

    other = finished("other")
    expiring = submit("dead", keys(1), pipeline="dead", policy={"lease_seconds": 0.05})
    assert claim("dead").leases
    canceled = submit("cancelled", keys(1), pipeline="cancelled")
    assert claim("cancelled").leases
    cancel(canceled.pk, grace_seconds=0.05)
    eventually(lambda: claim("dead").leases)  # its first lease has expired
    eventually(lambda: status(canceled) == "REVOKED")
    eventually(lambda: str(other) in saved())  # the same handler, for another job
    eventually(lambda: {f"mailing {other}", f"mailing {hung}"} <= set(shop.calls()))
    assert healthy(shop)

    eventually(lambda: not alive(first))
    second = shop.hanging()
    assert second != first
    assert str(hung) not in saved()
    eventually(
        lambda: open_deliveries() == ["hanging"]
    )  # the last job's events have been delivered by then
    shop.mend()
    eventually(lambda: str(hung) in saved())
    eventually(lambda: open_deliveries() == [])  # a delivery is done after its handler returned
    assert healthy(shop)
    assert f"shop.handlers.hanging, event {finish_of(hung)} (finished of job {hung})" in shop.said
    assert expiring.pk
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0


def finish_of(job_id: int) -> int:
    return next(int(one["id"]) for one in events(job_id) if one["kind"] == "finished")


def test_one_that_hangs_is_named_by_why_and_doctor(make_shop: MakeShop) -> None:
    shop = make_shop(handler_seconds_max=60, handler_slow_seconds=0.01)
    shop.start("deliver", "--forever")
    hung = finished("hang")
    shop_sweeps(shop)
    shop.hanging()
    message = (
        f"handler shop.handlers.hanging, event {finish_of(hung)} (finished of job {hung}): try 1"
    )
    reason = eventually(
        lambda: next((one for one in undelivered_of(hung) if message in one["text"]), None)
    )
    assert "has not returned since 20" in reason["text"]
    assert "next try at 20" in reason["text"]
    (check,) = [one for one in health() if one["check"] == "handlers"]
    assert (check["ok"], message in check["found"]) == (False, True)


def undelivered_of(job_id: int) -> list[Any]:
    return [one for one in why(job_id)["reasons"] if one["code"] == "undelivered"]


def shop_sweeps(shop: Shop) -> None:
    sweep = shop.start("sweep", "--forever")
    eventually(lambda: open_deliveries() or not alive(sweep.pid))


def test_a_process_that_is_killed_in_a_transactional_handler_leaves_nothing_and_it_happens_once(
    make_shop: MakeShop, saved: Saved
) -> None:
    shop = make_shop(handler_seconds_max=5)  # it is killed before this limit
    serving = shop.start("sweep", "--forever")
    hung = finished("hang")
    pid = shop.hanging()  # its row is written, but not committed
    assert pid in deliverers(serving)
    shop.mend()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: saved() == {str(hung): ""})
    eventually(lambda: open_deliveries() == [])
    assert Delivery.objects.get(handler="shop.handlers.hanging").tries == 2


@pytest.mark.parametrize("command", ["serve", "sweep", "deliver"])
def test_the_process_of_a_handler_that_hangs_ends_with_its_supervisor(
    make_shop: MakeShop, command: str
) -> None:
    shop = make_shop(handler_seconds_max=60)
    options = {"serve": ["--port", "0"]}.get(command, ["--forever"])
    process = shop.start(command, *options)
    finished("hang")
    if command == "deliver":
        shop_sweeps(shop)
    pid = shop.hanging()
    assert pid in deliverers(process) or command == "deliver"
    for one in shop.started:
        one.kill()
    eventually(lambda: not alive(pid))


def test_a_stopping_server_does_not_wait_for_a_handler_that_hangs(
    make_shop: MakeShop, saved: Saved
) -> None:
    shop = make_shop(handler_seconds_max=600, handler_stop_seconds_max=0.2)
    process = shop.start("serve", "--port", "0")
    finished("hang")
    pid = shop.hanging()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not alive(pid)
    assert saved() == {}


def test_a_stopping_server_lets_a_handler_finish_its_call(
    make_shop: MakeShop, saved: Saved
) -> None:
    shop = make_shop(handler_seconds_max=600, handler_stop_seconds_max=60)
    process = shop.start("serve", "--port", "0")
    slow = finished("slow")
    shop.hanging()
    address = url(shop)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: refuses(address))
    shop.mend()
    assert process.wait(60) == 0
    assert saved() == {str(slow): ""}
    assert Delivery.objects.get(handler="shop.handlers.hanging").tries == 1


def refuses(address: str) -> bool:
    try:
        httpx.get(f"{address}/healthz", timeout=60, trust_env=False)
    except httpx.TransportError:
        return True
    return False


def test_deliver_once_gives_every_other_event_and_ends(make_shop: MakeShop, saved: Saved) -> None:
    shop = make_shop(handler_seconds_max=3, outbox_backoff_seconds=600)
    hung, other = finished("hang"), finished("other")
    process = shop.start("sweep", "--json")
    assert '"deliveries": 3' in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert saved() == {str(other): ""}
    assert sorted(shop.calls()) == sorted([f"mailing {hung}", f"mailing {other}"])
    assert open_deliveries() == ["hanging"]


def test_one_that_hangs_outside_a_transaction_holds_no_lock_and_is_tried_again(
    make_shop: MakeShop,
) -> None:
    shop = make_shop(handler_seconds_max=1.5)
    shop.start("sweep", "--forever")
    job = submit("hang", keys(1), pipeline="p")
    cancel(job.pk)
    shop.hanging()
    worker.drain("none")
    submitted = submit("meanwhile", keys(1), pipeline="meanwhile")  # would wait for a write lock
    worker.drain("meanwhile")
    assert status(submitted) == "SUCCESS"
    shop.mend()
    eventually(lambda: open_deliveries() == [])
    assert shop.calls().count(f"outside {job.pk}") >= 2


def test_where_no_process_can_be_started_another_try_follows(
    own_hooks: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The obstacle may be temporary; the supervising thread continues."""
    on_event("finished")(lambda event: None)
    monkeypatch.setattr(sys, "executable", "/there/is/none")
    stop = threading.Event()
    thread = threading.Thread(target=supervise_until, args=(stop,))
    thread.start()
    try:
        eventually(lambda: caplog.text.count("a process can't be started") >= 2)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join()
