"""The pages in an ordinary Django project, on a WSGI server without joblot's gateway."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from playwright.sync_api import Browser, Page, expect

from joblot.ledger.read.progress import progress
from joblot.ledger.rows.log import log
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from tests.ledger import worker
from tests.ledger.worker import keys
from tests.web.browser import Visit, check_page
from tests.web.people import PASSWORD
from tests.web.test_project import MIDDLEWARE

POLL_MS = 12_000  # pages ask every 5 s where they have no stream


class QuietHandler(WSGIRequestHandler):
    """Without a line on stderr for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name)
        pass


@pytest.fixture
def project(ledger_db: str, settings: Any) -> Iterator[str]:
    """The address at which the project serves joblot, below a prefix."""
    settings.ROOT_URLCONF = "tests.web.project_urls"
    settings.MIDDLEWARE = MIDDLEWARE
    settings.LOGIN_URL = "/nowhere"
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietHandler)
    server.set_app(WSGIHandler())
    thread = threading.Thread(target=server.serve_forever, name="wsgi")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser, project: str) -> Iterator[Page]:
    """A window in which a user of the project is signed in, by joblot's form."""
    get_user_model().objects.create_superuser("boss", password=PASSWORD)
    window = Visit(browser, project)
    window.page.goto("/counts/jobs")
    window.page.get_by_label("Name").fill("boss")
    window.page.get_by_label("Password").fill(PASSWORD)
    window.page.get_by_role("button", name="Sign in").click()
    window.page.wait_for_url("**/counts/jobs")
    yield window.page
    window.close()


@pytest.fixture
def job(ledger_db: str) -> Job:
    return submit("tiles", keys(9), pipeline="p")


def test_a_page_follows_its_job_by_asking_again(page: Page, job: Job) -> None:
    page.goto(f"/counts/jobs/{job.pk}")
    expect(page.locator("[data-live-state]")).to_have_text("Live, every 5 s", timeout=POLL_MS)
    follow = page.get_by_role("button", name="Follow")
    follow.click()
    worker.succeed(worker.lease("p", limit=4))
    log(job.pk, "half way")
    succeeded = page.locator("[data-f='stages.0.succeeded']")
    expect(succeeded).to_have_text("4", timeout=POLL_MS)
    expect(page.locator("[data-log-box]")).to_contain_text("half way", timeout=POLL_MS)
    check_page(page)


def test_the_list_follows_its_jobs(page: Page, job: Job) -> None:
    page.goto("/counts/jobs")
    worker.succeed(worker.lease("p", limit=9))
    expect(page.locator(f"[data-job='{job.pk}']")).to_contain_text("Succeeded", timeout=POLL_MS)


def test_people_act_on_a_job(page: Page, job: Job) -> None:
    page.goto(f"/counts/jobs/{job.pk}")
    page.get_by_role("link", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the disk is full")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status").get_by_text("Paused.")).to_be_visible()
    assert progress(job.pk)["status"] == "PAUSED"
    expect(page.locator("[data-log-box]")).to_contain_text(
        re.compile(r"paused by \S*boss: the disk is full")
    )


def test_every_page_of_a_job_works(page: Page, job: Job, configure: Callable[..., None]) -> None:
    """Downloads, which are more than a page, are whole there too."""
    configure(page_items_max=4)
    worker.fail(worker.lease("p", limit=1))
    for where in ("items", "items/0", "logs", "map", "map?item=0"):
        page.goto(f"/counts/jobs/{job.pk}/{where}")
        expect(page.locator("h1")).to_be_visible()
    expect(page.locator("[data-map][data-shown]")).to_be_visible()
    base = f"/counts/jobs/{job.pk}"
    for kind, lines in (("items.ndjson", 10), ("items.csv", 11), ("items/0/value.json", 1)):
        assert len(page.request.get(f"{base}/{kind}").text().splitlines()) == lines
    assert "the first lease was granted" in page.request.get(f"{base}/logs.txt").text()
