"""Acting on several jobs of the list: it asks with their number, and names each that it left."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from joblot.errors import Unavailable
from joblot.ledger.job import lifecycle
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.read.history import events
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import add_items, submit
from joblot.models import Job
from joblot.states import JobStatus
from tests.ledger import worker
from tests.ledger.statuses import job_in
from tests.ledger.worker import drain, keys
from tests.web.people import person

Configure = Callable[..., None]


@pytest.fixture
def ana(ledger_db: str) -> Client:
    """An operator of all projects."""
    return person("ana", "operator")


@pytest.fixture
def jobs(ledger_db: str) -> list[Job]:
    """Three that run, with an item in flight in the first, and one that has succeeded."""
    made = [submit(f"job {n}", keys(3), pipeline=f"p{n}") for n in range(3)]
    worker.lease("p0", limit=1)
    return [*made, job_in(JobStatus.SUCCESS)]


def text(answer: Any) -> str:
    """What a person reads of it."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def ids(jobs: list[Job]) -> dict[str, list[str]]:
    return {"id": [str(job.pk) for job in jobs]}


def form(answer: Any) -> dict[str, list[str]]:
    """What the page that asks would send."""
    html = answer.content.decode().partition("data-question")[2].partition("</form>")[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html):
        found.setdefault(name, []).append(unescape(value))
    return found


def statuses(jobs: list[Job]) -> list[str]:
    return [str(progress(job.pk)["status"]) for job in jobs]


def written(jobs: list[Job]) -> int:
    return sum(len(events(job.pk)) for job in jobs)


def test_a_page_asks_with_verb_number_and_what_happens(ana: Client, jobs: list[Job]) -> None:
    before = written(jobs)
    asked = text(ana.get("/jobs/pause", ids(jobs)))
    assert "Pause 3 of 4 jobs?" in asked
    assert "1 is left as it is: succeeded." in asked
    assert "1 item in flight: their results still count." in asked
    assert "Cancel 3 of 4 jobs with 9 unsettled items?" in text(ana.get("/jobs/cancel", ids(jobs)))
    assert written(jobs) == before


def test_the_question_for_all_that_match_names_the_filter(ana: Client, jobs: list[Job]) -> None:
    asked = text(ana.get("/jobs/pause", {"all": "1", "filter": "q=job&status=pending,started"}))
    assert "Pause 3 jobs?" in asked
    assert "All jobs that match the filter: status:pending,started job" in asked
    everything = text(ana.get("/jobs/pause", {"all": "1", "filter": ""}))
    assert "Pause 3 of 4 jobs?" in everything
    assert "All jobs, of any status." in everything


def test_each_job_is_changed_by_its_verb_and_the_rest_is_named(
    ana: Client, jobs: list[Job]
) -> None:
    given = form(ana.get("/jobs/pause", ids(jobs)))
    answer = ana.post("/jobs/pause", given | {"reason": ["disk full"]})
    assert "3 paused, 1 was not running." in text(answer)
    assert "one #" in text(answer)
    assert "The job has succeeded; only one that is running can be paused." in text(answer)
    assert statuses(jobs) == ["PAUSED"] * 3 + ["SUCCESS"]
    for job in jobs[:3]:
        last = events(job.pk)[-1]
        assert (last["kind"], last["actor"], last["reason"]) == ("paused", "ana", "disk full")


def test_if_all_were_changed_the_list_says_so(ana: Client, jobs: list[Job]) -> None:
    given = form(ana.get("/jobs/pause", {**ids(jobs[:2]), "next": "/jobs?q=job"}))
    answer = ana.post("/jobs/pause", given, follow=True)
    assert answer.redirect_chain == [("/jobs?q=job", 302)]
    assert "2 paused." in text(answer)
    assert statuses(jobs[:3]) == ["PAUSED", "PAUSED", "PENDING"]
    given = form(ana.get("/jobs/resume", {"all": "1", "filter": "status=paused"}))
    assert "2 resumed." in text(ana.post("/jobs/resume", given, follow=True))


def test_retry_and_cancel_concern_their_items(ana: Client, ledger_db: str) -> None:
    made = []
    for n in range(2):
        made.append(submit(f"job {n}", keys(3), pipeline=f"p{n}"))
        worker.fail(worker.lease(f"p{n}", limit=n + 1))
        drain(f"p{n}")
    asked = ana.get("/jobs/retry", ids(made))
    assert "Retry 3 items of 2 jobs?" in text(asked)
    assert "2 retried." in text(ana.post("/jobs/retry", form(asked), follow=True))
    assert [progress(job.pk)["run"] for job in made] == [2, 2]
    asked = ana.get("/jobs/cancel", ids(made))
    assert "Cancel 2 jobs with 3 unsettled items?" in text(asked)
    assert "2 canceled." in text(ana.post("/jobs/cancel", form(asked), follow=True))
    assert set(statuses(made)) <= {"CANCELING", "REVOKED"}


def test_another_number_of_jobs_asks_again(ana: Client, jobs: list[Job]) -> None:
    choice = {"all": "1", "filter": "status=pending"}
    given = form(ana.get("/jobs/pause", choice))
    submit("never seen", keys(1), pipeline="p9")
    answer = ana.post("/jobs/pause", given | {"reason": ["why not"]})
    assert answer.status_code == 409
    assert "The number of jobs has changed from 2 to 3. Nothing was changed" in text(answer)
    assert "Pause 3 jobs?" in text(answer)
    assert b'value="why not"' in answer.content
    assert "PAUSED" not in statuses(jobs)
    assert "3 paused." in text(ana.post("/jobs/pause", form(answer), follow=True))


def test_other_jobs_of_the_same_number_ask_again(ana: Client, jobs: list[Job]) -> None:
    given = form(ana.get("/jobs/pause", {"all": "1", "filter": "status=pending"}))
    pause(jobs[1].pk)
    another = submit("never seen", keys(1), pipeline="p9")
    answer = ana.post("/jobs/pause", given)
    assert answer.status_code == 409
    assert "Other jobs match now than before. Nothing was changed" in text(answer)
    assert statuses([another]) == ["PENDING"]


def test_a_selected_job_that_is_gone_asks_again(ana: Client, jobs: list[Job]) -> None:
    given = form(ana.get("/jobs/pause", ids(jobs[:3])))
    lifecycle.delete(jobs[1].pk)
    answer = ana.post("/jobs/pause", given)
    assert answer.status_code == 409
    assert "changed from 3 to 2" in text(answer)
    assert "1 of those selected can't be found, or not changed by you." in text(answer)


def test_a_cancel_may_find_fewer_items_but_not_more(ana: Client, ledger_db: str) -> None:
    job = submit("tiles", keys(5), pipeline="p", seal=False)
    given = form(ana.get("/jobs/cancel", ids([job])))
    add_items(job.pk, ["one more"])
    answer = ana.post("/jobs/cancel", given)
    assert answer.status_code == 409
    assert "The number of items has changed from 5 to 6." in text(answer)
    worker.succeed(worker.lease(limit=2))
    assert "1 canceled." in text(ana.post("/jobs/cancel", form(answer), follow=True))


def test_a_retry_finds_exactly_its_items(ana: Client, ledger_db: str) -> None:
    job = submit("tiles", keys(3), pipeline="p")
    worker.fail(worker.lease(limit=2))
    drain("p")
    given = form(ana.get("/jobs/retry", ids([job])))
    given["expected_items"] = ["3"]
    assert "has changed from 3 to 2" in text(ana.post("/jobs/retry", given))
    assert progress(job.pk)["run"] == 1


def test_a_job_that_fails_is_named_and_stops_no_other(
    ana: Client, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lifecycle.pause

    def refuses(job_id: int, **by: Any) -> Job:
        if job_id == jobs[0].pk:
            raise Unavailable("the disk is full")
        if job_id == jobs[1].pk:
            raise KeyError("a bug")
        return real(job_id, **by)

    monkeypatch.setattr(lifecycle, "pause", refuses)
    answer = ana.post("/jobs/pause", form(ana.get("/jobs/pause", ids(jobs))))
    assert "1 paused, 1 was not running, 2 failed." in text(answer)
    assert "failed : the disk is full" in text(answer)
    assert "failed : KeyError; the server's log says more" in text(answer)
    assert statuses(jobs)[2] == "PAUSED"


def test_what_was_not_reached_in_time_is_named_and_can_go_on(
    ana: Client, jobs: list[Job], configure: Configure
) -> None:
    given = form(ana.get("/jobs/pause", ids(jobs[:3])))
    configure(bulk_seconds_max=1e-9)
    answer = ana.post("/jobs/pause", given)
    assert "0 paused, 3 were not reached." in text(answer)
    assert statuses(jobs[:3]) == ["STARTED", "PENDING", "PENDING"]
    configure(bulk_seconds_max=20.0)
    (again,) = re.findall(r'href="([^"]+)" data-act', answer.content.decode())
    assert "Pause 3 jobs?" in text(ana.get(unescape(again)))


def test_one_act_covers_a_bounded_number(
    ana: Client, jobs: list[Job], configure: Configure
) -> None:
    configure(bulk_jobs_max=2)
    answer = ana.get("/jobs/pause", {"all": "1"})
    assert "More than 2 jobs match; one act covers at most 2." in text(answer)
    assert form(answer) == {"csrfmiddlewaretoken": form(answer)["csrfmiddlewaretoken"]}
    given = {"all": "1", "filter": "", "expected": "2", "expected_items": "0", "mark": ""}
    assert ana.post("/jobs/pause", given).status_code == 409
    assert ana.get("/jobs/pause", ids(jobs[:3])).status_code == 422
    assert ana.get("/jobs/counts").json()["match"] == "over 2"


def test_a_large_cancel_wants_the_number(
    ana: Client, jobs: list[Job], configure: Configure
) -> None:
    configure(cancel_named_items=5)
    asked = ana.get("/jobs/cancel", ids(jobs))
    assert "To confirm, type the number of jobs: 3" in text(asked)
    answer = ana.post("/jobs/cancel", form(asked) | {"name": ["4"]})
    assert answer.status_code == 422
    assert "REVOKED" not in statuses(jobs)
    answer = ana.post("/jobs/cancel", form(answer) | {"name": ["3"]})
    assert "3 canceled, 1 was not open any more." in text(answer)


@pytest.mark.parametrize(
    "given",
    [{}, {"id": "x"}, {"id": "1,-2"}, {"id": "9" * 30}, {"all": "1", "filter": "colour=red"}],
)
def test_what_names_no_jobs_is_refused(ana: Client, jobs: list[Job], given: Any) -> None:
    assert ana.get("/jobs/pause", given).status_code == 422
    assert ana.post("/jobs/pause", given).status_code == 422
    assert "PAUSED" not in statuses(jobs)


@pytest.mark.parametrize("missing", ["expected", "expected_items", "mark"])
def test_a_form_without_what_was_seen_is_refused(
    ana: Client, jobs: list[Job], missing: str
) -> None:
    given = form(ana.get("/jobs/pause", ids(jobs)))
    del given[missing]
    assert ana.post("/jobs/pause", given).status_code in {409, 422}
    assert "PAUSED" not in statuses(jobs)


def test_where_none_can_be_changed_there_is_no_button(ana: Client, jobs: list[Job]) -> None:
    answer = ana.get("/jobs/resume", ids(jobs))
    assert "None of the 4 jobs is paused: 2 waiting, 1 working, 1 succeeded." in text(answer)
    assert b'name="reason"' not in answer.content
    assert ana.post("/jobs/resume", ids(jobs)).status_code == 422


def test_only_jobs_of_a_persons_own_projects_are_selected(ledger_db: str) -> None:
    """A role as a reader in another project shows its jobs, and changes none."""
    from joblot.web.users import change_role

    mine = submit("mine", keys(1), pipeline="p", project="a")
    read = submit("read", keys(1), pipeline="p", project="b")
    hidden = submit("hidden", keys(1), pipeline="p", project="c")
    client = person("eve", "operator", "a")
    change_role("eve", projects=["b"], role="reader")
    page = client.get("/jobs").content.decode()
    assert re.findall(r'name="id" value="(\d+)"', page) == [str(mine.pk)]
    assert f'data-job="{read.pk}"' in page
    assert client.get("/jobs/counts").json()["match"] == "1"
    asked = client.get("/jobs/pause", ids([mine, read, hidden]))
    assert "Pause 1 job?" in text(asked)
    assert "2 of those selected can't be found, or not changed by you." in text(asked)
    everything = client.get("/jobs/pause", {"all": "1"})
    client.post("/jobs/pause", form(everything))
    assert statuses([mine, read, hidden]) == ["PAUSED", "PENDING", "PENDING"]


def test_a_reader_sees_no_boxes(jobs: list[Job]) -> None:
    reader = person("eve", "reader")
    page = reader.get("/jobs").content.decode()
    assert 'name="id"' not in page
    assert 'id="bulk"' not in page
    assert "match" not in reader.get("/jobs/counts").json()
    assert reader.get("/jobs/pause", ids(jobs)).status_code == 403
    assert reader.post("/jobs/pause", ids(jobs)).status_code == 403
    assert "PAUSED" not in statuses(jobs)
