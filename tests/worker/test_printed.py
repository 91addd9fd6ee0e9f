"""What items print under a worker of a server is kept in the job's log, and delays nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from joblot.errors import InvalidInput, NotFound
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import delete
from joblot.ledger.read.log_lines import logs
from joblot.ledger.report.printed import TEXT_CHARS_MAX, keep_printed
from joblot.ledger.submit.submit import submit
from joblot.worker import HttpClient, each
from joblot.worker.printed import Keep, Printed
from joblot.worker.printed_poster import WAITING_MAX, PrintedPoster
from tests.polling import eventually
from tests.worker.conftest import Working, ended
from tests.worker.printing import Output, open_output
from tests.worker.scene import Scene
from tests.worker.server import Server


@pytest.fixture
def scene(
    working: Working, server: Server, client: HttpClient, tmp_path: Path, token: str
) -> Scene:
    return Scene(working, server, client, tmp_path, token)


@pytest.fixture
def output() -> Iterator[Output]:
    with open_output() as one:
        yield one


def kept(job: int) -> dict[int, str]:
    lines = [one for one in logs(job, limit=1_000) if one["source"] == "printed"]
    return {one["item"]: one["message"] for one in lines}


def saying(output: Output) -> Any:
    def says(key: str) -> str:
        output.write(f"looks at {key}\n")
        if key.startswith("bad"):
            raise ValueError(key)
        return key

    return each(says)


@pytest.mark.parametrize(("keep", "expected"), [(Keep.FAILED, {1}), (Keep.ALL, {0, 1, 2})])
def test_what_is_printed_is_in_the_log_of_the_job(
    ledger_db: str, scene: Scene, output: Output, keep: Keep, expected: set[int]
) -> None:
    keys = ["a", "bad", "c"]
    job = submit("j", keys, pipeline="p").pk
    poster = PrintedPoster(scene.client)
    printed = Printed(keep, poster.put, output.tail)
    with scene.serving(printed.kept(saying(output))):
        ended(job)
    poster.end(30)
    assert kept(job) == {n: f"looks at {keys[n]}" for n in expected}
    (line,) = (one for one in logs(job, limit=1_000) if one["item"] == 1)
    assert line["worker"]


def test_a_server_that_is_away_delays_no_item_and_gets_it_later(
    ledger_db: str, scene: Scene, output: Output
) -> None:
    job = submit("j", ["bad"], pipeline="p").pk
    scene.away("printed")
    poster = PrintedPoster(scene.client)
    printed = Printed(Keep.FAILED, poster.put, output.tail)
    with scene.serving(printed.kept(saying(output))):
        ended(job)
    assert kept(job) == {}
    scene.back()
    eventually(lambda: kept(job) == {0: "looks at bad"})
    poster.end(30)


def test_what_waits_is_bounded(ledger_db: str, scene: Scene) -> None:
    submit("j", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    scene.away("printed")
    poster = PrintedPoster(scene.client)
    for n in range(2 * WAITING_MAX):
        poster.put(lease, 0, f"{n}")
    assert poster._texts.qsize() <= WAITING_MAX
    scene.back()
    poster.end(30)


def test_threads_that_share_handlers_start_one_thread_of_it(
    ledger_db: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit("j", ["a"], pipeline="p")
    (lease,) = claim("p").leases
    poster, begun, both = PrintedPoster(scene.client), [], threading.Barrier(2)

    class Noted(threading.Thread):
        def __init__(self, **how: Any) -> None:
            super().__init__(**how)
            if how.get("name") == "joblot-printed":
                begun.append(self)
                with suppress(threading.BrokenBarrierError):
                    both.wait(0.2)  # broken unless the other thread starts one, too

    putting = [threading.Thread(target=poster.put, args=(lease, 0, "x")) for _ in range(2)]
    monkeypatch.setattr(threading, "Thread", Noted)
    for one in putting:
        one.start()
    for one in putting:
        one.join()
    poster.end(30)
    assert len(begun) == 1
    assert not begun[0].is_alive()


def test_a_function_that_prints_nothing_starts_no_thread(
    ledger_db: str, scene: Scene, output: Output
) -> None:
    job = submit("j", ["a", "bad"], pipeline="p").pk
    poster = PrintedPoster(scene.client)
    printed = Printed(Keep.ALL, poster.put, output.tail)
    with scene.serving(printed.kept(each(lambda key: key))):
        ended(job)
    assert poster._thread is None


def test_only_items_of_the_lease_and_its_end_are_kept(ledger_db: str) -> None:
    job = submit("j", ["a", "b"], pipeline="p").pk
    (lease,) = claim("p", 1).leases
    assert keep_printed(lease.token, [(0, "x" * (TEXT_CHARS_MAX + 9) + "end")]) == 1
    assert kept(job)[0].endswith("end")
    assert len(kept(job)[0]) <= TEXT_CHARS_MAX
    with pytest.raises(InvalidInput, match="item 1 is not of this lease"):
        keep_printed(lease.token, [(1, "x")])
    delete(job, actor="ana")
    with pytest.raises(NotFound):
        keep_printed("019a0000-0000-7000-8000-000000000000", [(0, "x")])
