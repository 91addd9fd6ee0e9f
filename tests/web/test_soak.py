"""Watching jobs for a long time: memory stays flat, and every stream is closed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from joblot.api.live import Message
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.server import live
from tests.ledger.worker import TWO_STAGES, drain, keys, lease, succeed
from tests.polling import eventually
from tests.server.raw import Raw, request
from tests.server.served import Served
from tests.web.browser import Visit
from tests.web.test_live import hide, state

PARTS = 12
SNAPSHOTS = 100  # in each: those of 100 seconds
PADDING = b":" + b"." * 5_000 + b"\n"  # added to each: a comment, which a browser does not keep
WARM = 3  # parts until everything that is kept is there
VIEWERS = 10  # that come and go in each part, beside the browser
TABS = 8
ITEMS = 20_000
SHOWN_MS_MAX = 60_000  # on a busy machine

# Keeping every snapshot from the first parts to the last would take 4 MB of the server and 1 MB of
# the browser; keeping a node for each, 600 nodes.
SERVER_GROWTH_MAX = 2_000_000
HEAP_GROWTH_MAX = 500_000
NODES_GROWTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Held:
    """What is held at the end of a part."""

    server: int  # resident bytes of this process, in which the server runs
    heap: int  # used by the browser's scripts
    nodes: int
    listeners: int


@pytest.fixture
def read(served: Served, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """How often each watched job was read: far more often than once a second."""
    configure(live_seconds=0.001, live_final_seconds=0.1, live_rights_seconds=2.0)
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(live, "SHARE_MAX", 0.8)
    counted: dict[int, int] = {}
    original = served.process.live._read

    async def counting(job_id: int) -> Message:
        message = await original(job_id)
        counted[job_id] = counted.get(job_id, 0) + 1
        return replace(message, text=PADDING + message.text)

    monkeypatch.setattr(served.process.live, "_read", counting)
    return counted


@pytest.mark.timeout(900)
def test_watching_for_a_long_time_keeps_memory_flat(
    sqlite_only: str,
    visit: Callable[..., Visit],
    token_file: Path,
    served: Served,
    read: dict[int, int],
) -> None:
    """One browser with eight tabs, one of them visible, stays on a job all the time. Others come,
    leave and return, while jobs begin and end.
    """
    window = visit()
    window.enter(token_file)
    job = submit("long", keys(ITEMS), stages=TWO_STAGES)
    tabs = [_tab(window.context, job) for _ in range(TABS)]
    session = window.context.new_cdp_session(tabs[0])
    found, settled = [], 0
    for part in range(PARTS):
        shown = tabs[part % TABS]
        hide(shown, hidden=False)
        short = submit(f"short {part}", keys(20), pipeline="short")
        settled += _come_and_go(served, [job, short], drain_after=part % 2)
        wanted = SNAPSHOTS * (part + 1)
        eventually(partial(_has_read, read, job.pk, wanted), seconds_max=300)
        succeeded = shown.locator("[data-f='stages.0.succeeded']")
        expect(succeeded).to_have_text(f"{settled:,}", timeout=SHOWN_MS_MAX)
        hide(shown, hidden=True)
        eventually(lambda: served.process.live.viewers == 0)
        assert served.process.live._jobs == {}
        found.append(_held(session))
    _require_flat(found)


def _tab(context: BrowserContext, job: Job) -> Page:
    tab = context.new_page()
    tab.goto(f"/jobs/{job.pk}")
    expect(state(tab)).to_have_text("Live")
    hide(tab, hidden=True)
    return tab


def _has_read(read: dict[int, int], job_id: int, times: int) -> bool:
    return read.get(job_id, 0) >= times


def _come_and_go(served: Served, jobs: list[Job], *, drain_after: int) -> int:
    """Viewers get a snapshot; half of them leave without a word, and return with what they saw.

    Returns how many items of the first job were settled. A claim may be granted fewer than it asks
    for: the rest of a range.
    """
    long, short = jobs
    settled = 0
    for n in range(VIEWERS):
        seen = _view(served, jobs[n % 2], "")
        if n % 2:
            _view(served, jobs[n % 2], seen)
        settled += len(succeed(lease("p", 100 // VIEWERS, job=long.pk)))
    if drain_after:
        drain("short")
    with Raw(served.port) as viewer:
        _ask(viewer, short, "")
        drain("short")
        received = b""
        while b'"is_final":true' not in received:
            received += viewer.socket.recv(65_536)
    return settled


def _view(served: Served, job: Job, seen: str) -> str:
    """Follow the job until its next snapshot has come; returns its key."""
    with Raw(served.port) as viewer:
        return _ask(viewer, job, seen)


def _ask(viewer: Raw, job: Job, seen: str) -> str:
    path = f"/api/v1/jobs/{job.pk}/live" + (f"?last_event_id={seen}" if seen else "")
    viewer.send(request("GET", path, Accept="text/event-stream"))
    head = b""
    while b"\ndata: " not in head:
        head += viewer.socket.recv(65_536)
    return head.partition(b"\nid: ")[2].partition(b"\n")[0].decode()


def _held(session: CDPSession) -> Held:
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    page = {one["name"]: int(one["value"]) for one in metrics}
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(pages * 4_096, page["JSHeapUsedSize"], page["Nodes"], page["JSEventListeners"])


def _require_flat(found: list[Held]) -> None:
    begun, ended = found[WARM : WARM + 3], found[-3:]

    def growth(name: str) -> float:
        before, after = (
            median(float(getattr(one, name)) for one in some) for some in (begun, ended)
        )
        return after - before

    assert growth("server") < SERVER_GROWTH_MAX, found
    assert growth("heap") < HEAP_GROWTH_MAX, found
    assert growth("nodes") < NODES_GROWTH_MAX, found
    assert growth("listeners") <= 0, found
