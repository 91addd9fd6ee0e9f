"""A page that follows a job shows only what was true, and says when it can't."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from joblot.api.live import Message
from joblot.ledger.claim.claim import claim
from joblot.ledger.db import statements
from joblot.ledger.job import lifecycle
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import TWO_STAGES, drain, keys
from tests.polling import eventually
from tests.server.served import Served
from tests.threads import Threads
from tests.web.browser import Visit, check_page

NOTICE_MS = 25_000  # until a page says that it is not live
BACK_MS = 20_000  # until it is live again, on a busy machine
FINISHED = "Done, not all well"
BATCHES_PER_SNAPSHOT = 40

# What the page shows, whenever anything has changed on it.
RECORD = """
    window.recorded = [];
    const fields = "[data-f^='stages.'], [data-f='as_of']";
    const look = () => Object.fromEntries([...document.querySelectorAll(fields)].map(
        (field) => [field.dataset.f, field.textContent]));
    new MutationObserver(() => window.recorded.push(look()))
        .observe(document.querySelector("[data-live]"), {subtree: true, childList: true,
            characterData: true, attributes: true});
    window.recorded.push(look());
"""


@pytest.fixture
def job(ledger_db: str) -> Job:
    return submit("tiles", keys(10), stages=TWO_STAGES)


@pytest.fixture
def quick(configure: Callable[..., None]) -> None:
    configure(live_seconds=0.05, live_final_seconds=0.2, live_rights_seconds=0.5)


@pytest.fixture
def follow(page: Page, served: Served) -> Callable[[Job], Page]:
    """`follow(job)` opens the job's page, and waits until it is live."""

    def open_page(job: Job) -> Page:
        page.goto(f"{served.url}/jobs/{job.pk}")
        expect(state(page)).to_have_text("Live")
        return page

    return open_page


def state(page: Page) -> Any:
    return page.locator("[data-live-state]")


def field(page: Page, name: str) -> Any:
    return page.locator(f"[data-f='{name}']")


def settle_one() -> None:
    worker.succeed(worker.lease("p", limit=1))


def test_numbers_and_status_follow_the_job(
    follow: Callable[[Job], Page], quick: None, job: Job
) -> None:
    page = follow(job)
    lease = worker.lease("p", limit=4)
    worker.succeed(lease, *worker.numbers(lease)[:3])
    expect(field(page, "stages.0.succeeded")).to_have_text("3")
    expect(field(page, "stages.0.in_flight")).to_have_text("1")
    worker.succeed(lease, *worker.numbers(lease)[3:])
    drain("p", "q")
    expect(field(page, "shown.word")).to_have_text("Succeeded")


def test_bars_and_reasons_are_written_as_the_server_writes_them(
    follow: Callable[[Job], Page], quick: None, job: Job
) -> None:
    page = follow(job)
    lease = worker.lease("p", limit=7)
    worker.fail(lease, worker.numbers(lease)[0])
    worker.succeed(lease, *worker.numbers(lease)[1:4])
    expect(field(page, "stages.0.succeeded")).to_have_text("3")
    seen = "document.querySelector('[data-f-list]').innerText"
    bars = "[...document.querySelectorAll('.bar')].map((bar) => bar.outerHTML)"
    before = page.evaluate(bars), page.evaluate(seen)
    page.reload()
    assert (page.evaluate(bars), page.evaluate(seen)) == before


def wait_for_another(sent: list[dict[str, Any]]) -> None:
    seen = len(sent)
    eventually(lambda: len(sent) > seen)


def worked(sent: list[dict[str, Any]], batch: int = 25) -> None:
    """Work until nothing is ready; one item in fifty fails for good.

    However fast that is, a snapshot is read now and then, while items are still open.
    """
    for pipeline in ("p", "q"):
        for turn in count():
            if not (leases := claim(pipeline, batch).leases):
                break
            if turn % BATCHES_PER_SNAPSHOT == 0:
                wait_for_another(sent)
            bad = [n for n in worker.numbers(leases[0]) if n % 50 == 0]
            good = [n for n in worker.numbers(leases[0]) if n % 50]
            worker.fail(leases[0], *bad) if bad else None
            worker.succeed(leases[0], *good) if good else None


@pytest.fixture
def sent(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All snapshots that the server reads for its viewers."""
    found: list[dict[str, Any]] = []
    read = served.process.live._read

    async def recorded(job_id: int) -> Message:
        message = await read(job_id)
        found.append(json.loads(message.text.partition(b"data: ")[2]))
        return message

    monkeypatch.setattr(served.process.live, "_read", recorded)
    return found


def as_shown(snapshot: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    """What a page shows of a snapshot in the fields with these names."""
    fields = (name.split(".") for name in names)
    return {
        f"stages.{stage}.{part}": f"{snapshot['stages'][int(stage)][part]:,}"
        for _, stage, part in fields
    }


def test_every_number_that_was_shown_was_true(
    follow: Callable[[Job], Page],
    quick: None,
    sent: list[dict[str, Any]],
    in_thread: Threads,
    ledger_db: str,
) -> None:
    """Each state of the page is one of the snapshots that the server has read, never an earlier
    one, and its rows add up.
    """
    job = submit("tiles", keys(10_000), stages=TWO_STAGES)
    page = follow(job)
    page.evaluate(RECORD)
    work = in_thread(worked, sent)
    expect(field(page, "shown.word")).to_have_text(FINISHED, timeout=60_000)
    work.result()
    expect(field(page, "stages.1.succeeded")).to_have_text("9,800")
    shown = page.evaluate("window.recorded")
    for one in shown:
        one.pop("as_of")
    parts = [name.split(".")[2] for name in shown[0] if name.startswith("stages.0.")]
    assert {"ready", "succeeded", "failed"} < set(parts)
    true = [as_shown(snapshot, shown[0]) for snapshot in sent]
    assert len({json.dumps(one) for one in shown}) > 10
    places = []
    for one in shown:
        assert one in true
        places.append(max(n for n, snapshot in enumerate(true) if snapshot == one))
        for stage in range(2):
            row = [int(one[f"stages.{stage}.{part}"].replace(",", "")) for part in parts]
            assert sum(row) == 20_000  # the parts, and the total itself
    assert places == sorted(places)


def test_what_people_hold_on_to_survives_updates(
    follow: Callable[[Job], Page], quick: None, ledger_db: str
) -> None:
    """Focus, selection and scroll are where they were after fifty updates."""
    page = follow(submit("tiles", keys(60), stages=TWO_STAGES))
    page.set_viewport_size({"width": 1280, "height": 200})
    page.get_by_role("button", name="Pause updates").focus()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    page.evaluate("scrollTo(0, 40)")
    for n in range(1, 51):
        settle_one()
        expect(field(page, "stages.0.succeeded")).to_have_text(str(n))
    assert page.evaluate("getSelection().toString()") == "tiles"
    assert page.evaluate("document.activeElement.textContent").startswith("Pause updates")
    assert page.evaluate("scrollY") == 40


def test_a_selected_number_waits(follow: Callable[[Job], Page], quick: None, job: Job) -> None:
    """And with it all others, so that the page still shows one snapshot."""
    page = follow(job)
    page.evaluate(
        "getSelection().selectAllChildren(document.querySelector('[data-f=\"stages.0.ready\"]'))"
    )
    as_of = field(page, "as_of").text_content()
    settle_one()
    with page.expect_event("console", lambda message: message.text == "waited"):
        page.evaluate("setTimeout(() => console.log('waited'), 1500)")
    assert field(page, "stages.0.succeeded").text_content() == "0"
    assert field(page, "as_of").text_content() == as_of
    page.evaluate("getSelection().removeAllRanges()")
    expect(field(page, "stages.0.succeeded")).to_have_text("1")


def test_a_lost_connection_is_said_and_found_again(
    visit: Callable[..., Visit], token_file: Path, served: Served, job: Job
) -> None:
    window = visit()
    window.allow("ERR_INTERNET_DISCONNECTED")
    page = window.enter(token_file)
    page.goto(f"/jobs/{job.pk}")
    expect(state(page)).to_have_text("Live")
    window.context.set_offline(True)
    expect(state(page)).to_contain_text("Not live. Last true at", timeout=NOTICE_MS)
    settle_one()
    window.context.set_offline(False)
    expect(state(page)).to_have_text("Live", timeout=BACK_MS)
    expect(field(page, "stages.0.succeeded")).to_have_text("1", timeout=BACK_MS)


def test_a_server_that_stops_is_noticed(
    visit: Callable[..., Visit], token_file: Path, served: Served, job: Job
) -> None:
    """No event of the browser says so; the connection just ends."""
    window = visit()
    window.allow("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    page = window.enter(token_file)
    page.goto(f"/jobs/{job.pk}")
    expect(state(page)).to_have_text("Live")
    served.stop()
    expect(state(page)).to_contain_text("Not live. Last true at", timeout=NOTICE_MS)


def test_a_database_that_fails_is_noticed(
    visit: Callable[..., Visit],
    token_file: Path,
    quick: None,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection stays, and nothing comes."""
    window = visit()
    window.allow("503")
    page = window.enter(token_file)
    page.clock.install()
    page.goto(f"/jobs/{job.pk}")
    expect(state(page)).to_have_text("Live")
    text = statements.text

    def broken(name: str, *args: Any, **kwargs: Any) -> str:
        given = text(name, *args, **kwargs)
        return "SELECT 1 FROM nowhere" if name == "read/progress" else given

    monkeypatch.setattr(statements, "text", broken)
    page.clock.fast_forward(NOTICE_MS)
    expect(state(page)).to_contain_text("Not live. Last true at")
    monkeypatch.setattr(statements, "text", text)
    expect(state(page)).to_have_text("Live", timeout=2 * BACK_MS)


def test_a_hidden_tab_holds_no_stream(
    follow: Callable[[Job], Page], served: Served, quick: None, job: Job
) -> None:
    page = follow(job)
    eventually(lambda: served.process.live.viewers == 1)
    hide(page, hidden=True)
    eventually(lambda: served.process.live.viewers == 0)
    settle_one()
    hide(page, hidden=False)
    expect(field(page, "stages.0.succeeded")).to_have_text("1")
    assert served.process.live.viewers == 1


def hide(page: Page, *, hidden: bool) -> None:
    """A browser without a screen hides no tab, so the page is made to see itself hidden."""
    page.evaluate(
        "value => { Object.defineProperty(document, 'hidden', {value, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange')) }",
        hidden,
    )


def test_updates_can_be_paused(
    follow: Callable[[Job], Page], served: Served, quick: None, job: Job
) -> None:
    page = follow(job)
    page.keyboard.press("p")
    expect(state(page)).to_contain_text("Paused. True at")
    eventually(lambda: served.process.live.viewers == 0)
    settle_one()
    assert field(page, "stages.0.succeeded").text_content() == "0"
    page.get_by_role("button", name="Pause updates").click()
    expect(field(page, "stages.0.succeeded")).to_have_text("1")
    expect(state(page)).to_have_text("Live")


def test_a_session_that_ends_is_said(
    visit: Callable[..., Visit], token_file: Path, quick: None, job: Job
) -> None:
    window = visit()
    window.allow("401")
    page = window.enter(token_file)
    page.goto(f"/jobs/{job.pk}")
    expect(state(page)).to_have_text("Live")
    Session.objects.all().delete()
    expect(state(page)).to_contain_text("Signed out")


def test_a_deleted_job_is_said(
    visit: Callable[..., Visit], token_file: Path, quick: None, job: Job
) -> None:
    drain("p", "q")  # an open job would be canceled first, and its page loaded again for that
    window = visit()
    window.allow("404")
    page = window.enter(token_file)
    page.goto(f"/jobs/{job.pk}")
    expect(state(page)).to_have_text("Live")
    lifecycle.delete(job.pk)
    expect(state(page)).to_have_text("This job was deleted.")


def test_without_javascript_the_numbers_say_when_they_were_true(
    visit: Callable[..., Visit], token_file: Path, served: Served, job: Job
) -> None:
    settle_one()
    page = visit(java_script_enabled=False).enter(token_file)
    page.goto(f"/jobs/{job.pk}")
    expect(field(page, "stages.0.succeeded")).to_have_text("1")
    expect(field(page, "as_of")).to_contain_text("UTC")
    assert not served.process.live.viewers


def test_eight_tabs_all_load(
    visit: Callable[..., Visit], token_file: Path, served: Served, quick: None, job: Job
) -> None:
    """A browser holds six connections to a server; tabs that are hidden take none."""
    window = visit()
    window.enter(token_file)
    tabs = []
    for _ in range(8):
        tab = window.context.new_page()
        tab.goto(f"/jobs/{job.pk}")
        expect(state(tab)).to_have_text("Live")
        hide(tab, hidden=True)
        tabs.append(tab)
    hide(tabs[3], hidden=False)
    settle_one()
    expect(field(tabs[3], "stages.0.succeeded")).to_have_text("1")
    eventually(lambda: served.process.live.viewers == 1)


def test_a_live_page_is_accessible(follow: Callable[[Job], Page], sqlite_only: str) -> None:
    check_page(follow(submit("tiles", keys(10), stages=TWO_STAGES)))
