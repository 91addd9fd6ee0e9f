"""The list of jobs: every filter, each order, pages without gaps, and counts that agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from joblot.errors import InvalidInput
from joblot.ledger.job.lifecycle import cancel, delete, pause
from joblot.ledger.read.filters import JobFilters
from joblot.ledger.read.listing import counts, listing
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.states import JobStatus
from tests import databases
from tests.ledger.large import NOW
from tests.ledger.statistics import current_statistics, forget_statistics
from tests.ledger.statuses import job_in
from tests.ledger.work import work
from tests.ledger.worker import drain, keys


def ids(**given: str) -> list[int]:
    return [job["id"] for job in listing(JobFilters.of(given))]


def walked(limit: int, **given: str) -> Iterator[int]:
    after: str | None = ""
    while after is not None:
        page = listing(JobFilters.of(given | {"after": after}), limit=limit)
        yield from (job["id"] for job in page)
        after = page.next


@pytest.mark.usefixtures("ledger_db")
class TestAFilter:
    def test_names_statuses_projects_and_pipelines(self) -> None:
        done = job_in(JobStatus.SUCCESS)
        started = job_in(JobStatus.STARTED)
        other = submit("x", keys(1), pipeline="q", project="alps", start=False)
        assert ids(status="started,success") == [started.pk, done.pk]
        assert ids(project="alps,ural") == [other.pk]
        assert ids(pipeline="q") == [other.pk]
        assert ids(pipeline="p,q", status="CREATED") == [other.pk]
        assert ids() == [other.pk, started.pk, done.pk]

    def test_names_owners(self) -> None:
        """The owner is who submitted the job; `me` stands for the names of who asks."""
        anas = submit("a", keys(1), pipeline="p", actor="ana", idempotency_key="k")
        ci = submit("b", keys(1), pipeline="p", actor="token:ci")
        nobodys = submit("c", keys(1), pipeline="p")
        submit("a", keys(1), pipeline="p", actor="bob", idempotency_key="k")  # the same job
        assert ids(owner="ana") == [anas.pk]
        assert ids(owner="ana,token:ci") == [ci.pk, anas.pk]
        assert ids(owner="bob") == []
        asked = JobFilters.of({"owner": "me"}, me=("ana", "root"))
        assert [(job["id"], job["owner"]) for job in listing(asked)] == [(anas.pk, "ana")]
        assert counts(asked)[JobStatus.PENDING].jobs == 1
        assert [job["owner"] for job in listing(JobFilters())] == ["", "token:ci", "ana"]
        assert nobodys.owner == ""

    def test_finds_a_part_of_a_name_or_an_id(self) -> None:
        tiles = submit("Night TILES 100%", keys(1), pipeline="p")
        other = submit("birds", keys(1), pipeline="p")
        assert ids(q="tiles") == [tiles.pk]
        assert ids(q="100%") == [tiles.pk]
        assert ids(q=f"#{other.pk}") == [other.pk]
        assert ids(q="#nothing") == []

    def test_has_a_first_and_a_last_moment(self, ledger_db: str) -> None:
        old, new = (submit(f"{n}", keys(1), pipeline="p") for n in range(2))
        created = new.created_at - timedelta(days=8)
        # The guard allows only the ledger to change this.
        with connections[ledger_db].cursor() as cursor:
            cursor.execute(
                "UPDATE joblot_job SET created_at = %s, version = version + 1 WHERE id = %s",
                [connections[ledger_db].ops.adapt_datetimefield_value(created), old.pk],
            )
        assert ids(since="7d") == [new.pk]
        assert ids(until="7d") == [old.pk]
        assert ids(since=created.isoformat(), until="1w") == [old.pk]

    def test_shows_only_the_projects_of_the_caller(self) -> None:
        submit("theirs", keys(1), pipeline="p", project="alps")
        mine = submit("mine", keys(1), pipeline="p", project="ural")
        page = listing(JobFilters(), projects=["ural"])
        assert [job["id"] for job in page] == [mine.pk]
        assert counts(JobFilters(), projects=["ural"])[JobStatus.PENDING].jobs == 1
        assert listing(JobFilters(project=("alps",)), projects=["ural"]) == []

    def test_shows_no_deleted_job(self) -> None:
        job = submit("gone", keys(1), pipeline="p")
        delete(job.pk)
        assert ids() == []


@pytest.mark.parametrize("sort", ["-created", "created", "name", "-name"])
def test_all_pages_have_each_job_once(ledger_db: str, sort: str) -> None:
    made = [submit(f"job {n % 5}", keys(1), pipeline="p") for n in range(20)]
    found = list(walked(3, sort=sort))
    order = {job.pk: (job.name, job.pk) if "name" in sort else job.pk for job in made}
    assert found == sorted(order, key=lambda pk: order[pk], reverse=sort.startswith("-"))


def test_a_page_is_two_statements(ledger_db: str) -> None:
    for n in range(60):
        submit(f"job {n}", keys(1), pipeline="p", actor="ana")
    for given in ({}, {"sort": "name"}, {"owner": "ana"}, {"q": "job", "status": "pending"}):
        with CaptureQueriesContext(connections[ledger_db]) as asked:
            assert len(listing(JobFilters.of(given))) == 50
        assert len([one for one in asked if "SELECT" in one["sql"]]) == 2


def test_a_count_is_the_number_of_jobs_behind_it(ledger_db: str, configure) -> None:
    claimable = (JobStatus.STARTED, JobStatus.PENDING)  # last: the others would claim their items
    for status in (*set(JobStatus).difference(claimable), *claimable):
        job_in(status)
    pause(submit("one more", keys(1), pipeline="q").pk)
    cancel(submit("another", keys(1), pipeline="q").pk, grace_seconds=0)
    for given in ({}, {"pipeline": "q"}, {"status": "paused", "q": "on"}):
        found = counts(JobFilters.of(given))
        for status in JobStatus:
            assert found[status].jobs == len(ids(**given | {"status": status.value}))
            assert not found[status].over
    configure(jobs_counted_max=1)
    assert str(counts(JobFilters())[JobStatus.PAUSED]) == "over 1"
    assert str(counts(JobFilters())[JobStatus.SUCCESS]) == "1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": "red"}, "'colour': expected a parameter of status, project, pipeline, owner, "),
        ({"status": "started,red"}, "status: expected one of CREATED, PENDING, .*, got 'RED'"),
        ({"since": "yesterday"}, "since: expected a time such as 2026-11-24"),
        ({"sort": "age"}, "sort: expected one of -created, created, name, -name, got 'age'"),
        ({"after": "W251bGws"}, "after: expected the cursor that the page before gave"),
        ({"after": "x", "sort": "name"}, "after: expected the cursor"),
        ({"q": "x" * 600}, "q: expected text of at most 512 characters"),
        ({"project": "a\x00"}, "project: expected text"),
    ],
)
def test_an_unknown_name_or_value_is_refused_with_those_known(
    given: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        JobFilters.of(given)


def test_a_cursor_of_another_sort_is_refused(ledger_db: str) -> None:
    submit("a", keys(1), pipeline="p")
    cursor = JobFilters.of({"sort": "name"}).cursor({"id": 1, "name": "a"})
    with pytest.raises(InvalidInput, match="after"):
        JobFilters.of({"after": cursor})


# Rows that PostgreSQL touches, or steps of SQLite.
ONE_PASS = {"postgres": 101_000, "sqlite": 1_000_000}
FEW = {"postgres": 2_000, "sqlite": 50_000}
COUNTED_MAX = {"postgres": 101_000, "sqlite": 120_000}  # a generic plan may pass all rows


def test_pages_and_counts_of_many_jobs_read_few_of_them(ledger_db: str) -> None:
    """100,000 jobs. A page reads about what it shows, and a count of a status stops at its limit:
    whatever the machine, they take about as long as with 1,000 jobs.
    """
    submit("of bob", keys(1), pipeline="p", actor="bob")
    template = submit("template", keys(1), pipeline="p", actor="ana")
    drain("p")
    _many(ledger_db, template, 100_000)
    found: dict[str, int] = {}
    with current_statistics(ledger_db):
        for given, most in (
            ({}, FEW),
            ({"sort": "name"}, FEW),
            ({"status": "success"}, FEW),
            ({"since": "1d", "sort": "created"}, FEW),
            ({"status": "paused"}, FEW | {"postgres": ONE_PASS["postgres"]}),
            ({"pipeline": "p"}, ONE_PASS),
            ({"pipeline": "nobody"}, ONE_PASS),
            ({"q": "99999"}, ONE_PASS),
            ({"owner": "ana"}, ONE_PASS),
            ({"owner": "bob"}, FEW),
            ({"owner": "ana,bob,eve"}, ONE_PASS),
            ({"project": "none"}, ONE_PASS),
            ({"until": "1d"}, ONE_PASS),
        ):
            filters = JobFilters.of(given)
            done = max(work(ledger_db, partial(listing, filters)).values())
            if done > most[ledger_db]:
                found[f"a page of {given}"] = done
        for given in ({}, {"project": "default"}, {"project": "none"}):
            filters = JobFilters.of(given)
            done = max(work(ledger_db, partial(counts, filters)).values())
            if done > COUNTED_MAX[ledger_db]:
                found[f"counts of {given}"] = done
    shown = counts(JobFilters())
    assert str(shown[JobStatus.SUCCESS]) == "over 10,000"
    assert str(shown[JobStatus.REVOKED]) == "10,000"
    _remove(ledger_db)
    assert found == {}


def _remove(using: str) -> None:
    """Remove the copies: they have no events, which the audit would miss. Later tests that count
    what a plan touches would count what is dead.
    """
    databases.empty(using)
    _vacuum(using)
    forget_statistics(using)


def _vacuum(using: str) -> None:
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("VACUUM joblot_job, joblot_stage, joblot_item")


def _many(using: str, template: Job, jobs: int) -> None:
    vendor = connections[using].vendor
    numbers = {
        "postgresql": f"SELECT generate_series(1, {jobs}) AS n",
        "sqlite": "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
        f"WHERE n < {jobs}) SELECT n FROM c",
    }[vendor]
    with connections[using].cursor() as cursor:
        columns = (
            "project, priority, owner, run, revision, version, sealed, total, policy, recorded"
        )
        status = (
            "CASE WHEN n % 10 = 0 THEN 'REVOKED' WHEN n % 10 < 4 THEN 'FAILURE' ELSE status END"
        )
        cursor.execute(
            f"INSERT INTO joblot_job (id, name, created_at, status, {columns}) "
            f"SELECT {template.pk} + n, 'job ' || n, {NOW[vendor]}, {status}, {columns} "
            f"FROM joblot_job, ({numbers}) s WHERE id = {template.pk}"
        )
        cursor.execute(
            "INSERT INTO joblot_stage (job_id, position, name, pipeline) "
            f"SELECT {template.pk} + n, 0, 'main', 'p' FROM ({numbers}) s"
        )
        cursor.execute(
            "INSERT INTO joblot_item (job_id, number, key) "
            f"SELECT {template.pk} + n, 0, 'k0' FROM ({numbers}) s"
        )
    _vacuum(using)
