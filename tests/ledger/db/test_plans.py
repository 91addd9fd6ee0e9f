"""How PostgreSQL runs the hot statements: by index, however large the tables are.

The explained statements are those that the verbs send, recorded while they run, and those of the
functions that they call, with their generic plans: planned once, for any parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connections

from joblot.ledger.claim import candidates
from joblot.ledger.claim.availability import ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.claim.claim import claim
from joblot.ledger.job import removal
from joblot.ledger.job.close import close_leases
from joblot.ledger.job.lifecycle import cancel, delete, end_cancel
from joblot.ledger.job.reconcile import reconcile
from joblot.ledger.lease import expire, expire_overdue, release, renew
from joblot.ledger.read.gauges import gauges
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.progress import progress
from joblot.ledger.read.pulse import overdue
from joblot.ledger.read.why import why
from joblot.ledger.report.at_once import may_be_due
from joblot.ledger.report.hooks import on_result
from joblot.ledger.report.report import report
from joblot.ledger.rows import outputs
from joblot.ledger.submit.submit import submit
from joblot.models import Job, StoredOutput, Uncounted
from joblot.states import FileState
from joblot.wire import failure, success
from tests import databases
from tests.ledger import worker
from tests.ledger.db.crowd import COPIES, crowd, disperse
from tests.ledger.db.function_statements import statements_within, types_of_records
from tests.ledger.statistics import forget_statistics
from tests.ledger.worker import TWO_STAGES, keys

ITEMS = 4_000


@dataclass(frozen=True)
class Plan:
    """The plan of one statement: the tables it scans, the indexes it uses."""

    sql: str
    walked: frozenset[str]
    indexes: frozenset[str]

    @classmethod
    def of(cls, sql: str) -> Plan:
        with connections["postgres"].cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            numbered = _numbered(sql)
            cursor.execute(f"PREPARE explained AS {numbered}")
            nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", numbered))))
            cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE explained{nulls and f'({nulls})'}")
            (answer,) = cursor.fetchone()
            cursor.execute("DEALLOCATE explained")
            cursor.execute("RESET plan_cache_mode")
        nodes = list(_nodes((json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]))
        return cls(
            sql,
            frozenset(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
            frozenset(
                name
                for n in nodes
                for name in (n.get("Index Name"), *n.get("Conflict Arbiter Indexes", ()))
                if name is not None
            ),
        )


PLACE = re.compile(r"%(?:\((\w+)\)s|s|%)")


def _numbered(sql: str) -> str:
    """Number the parameters from `$1`, as the database does; equal names share a number."""
    names: list[str] = []

    def number(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        name = place[1] or str(len(names))
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return PLACE.sub(number, sql)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Without what is read only for a pipeline with a limit."""
    yield node
    for below in node.get("Plans", ()):
        if below.get("Subplan Name") != "CTE limited":
            yield from _nodes(below)


CAP = re.compile(r"(?:SELECT \()?SELECT COALESCE\(sum\(l\.open\), 0\)")


def is_for_a_cap(sql: str) -> bool:
    """Whether it counts the items in flight of a pipeline with a cap, by the few live leases."""
    return CAP.match(sql) is not None and "joblot_stage" in sql


def plans(act: Callable[[], object]) -> list[Plan]:
    """The plans of all statements that `act` sends, one for each text."""
    sent: dict[str, None] = {}  # in their order

    def write_down(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split()[0] in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CALL"}:
            sent[sql] = None
        return execute(sql, params, many, context)

    with connections["postgres"].execute_wrapper(write_down):
        act()
    inside = [one for sql in sent for one in statements_within(sql)]
    explained = [sql for sql in sent if not sql.startswith("CALL")]  # which has no plan
    with types_of_records(connections["postgres"]):
        return [Plan.of(sql) for sql in (*explained, *inside) if not is_for_a_cap(sql)]


@pytest.fixture
def job(postgres_only: str) -> Iterator[Job]:
    forget_statistics(postgres_only)
    job = submit("crowded", keys(ITEMS), stages=TWO_STAGES, policy={"lease_seconds": 600})
    for _ in range(3):
        lease = worker.lease("p", 500)
        report(lease.token, [success(n, {"at": n}, {"bytes": 1}) for n in worker.numbers(lease)])
    worker.lease("p", 10)
    crowd()
    yield job
    disperse()


def test_no_hot_verb_walks_over_a_table(job: Job) -> None:
    first, second = worker.lease("p"), worker.lease("p")
    one = worker.numbers(second)[0]

    def judged() -> None:
        """A retryable failure, a repeat and a late success, which are judged one by one."""
        report(second.token, [failure(one, "Bad", "broken", retryable=True), success(one)])

    verbs: dict[str, Callable[[], object]] = {
        "claim": lambda: worker.lease("p"),
        "claim of the second stage": lambda: worker.lease("q"),
        "report": lambda: worker.succeed(first),
        "judged": judged,
        "renew": lambda: renew(second.token),
        "expire": expire_overdue,
        "reconcile": lambda: reconcile(job.pk),
    }
    walked = {
        (verb, plan.sql): sorted(plan.walked)
        for verb, act in verbs.items()
        for plan in plans(act)
        if plan.walked
    }
    assert walked == {}


def using(part: str, act: Callable[[], object]) -> frozenset[str]:
    """The indexes used by the statement whose text contains `part`."""
    return frozenset().union(*(plan.indexes for plan in plans(act) if part in plan.sql))


def test_each_hot_statement_uses_the_index_that_is_meant_for_it(job: Job) -> None:
    assert using("FOR UPDATE SKIP LOCKED", lambda: worker.lease("p")) == {"joblot_range_walk"}
    assert using("FROM joblot_rate r", lambda: worker.lease("p")) == {"joblot_rate_pkey"}
    limit = using("FROM joblot_pipeline_limit p", lambda: worker.lease("p"))
    assert limit  # either index of its key
    assert all(one.startswith("joblot_pipeline_limit_p") for one in limit)
    assert using("FROM joblot_item", lambda: worker.lease("p")) == {"joblot_item_pkey"}
    assert using("FROM joblot_outcome", lambda: worker.lease("q")) == {"joblot_outcome_pkey"}
    assert using("UPDATE joblot_range", lambda: worker.lease("p")) == {"joblot_range_pkey"}
    check = using("FROM joblot_range", lambda: may_be_due(job.pk, 0))
    assert check == {"joblot_range_walk"}
    looked = using("LEFT JOIN joblot_tally", lambda: reconcile(job.pk))
    assert looked >= {"joblot_job_pkey", "joblot_tally_pkey", "joblot_lease_job_state"}
    expiry = using("FOR UPDATE SKIP LOCKED", expire_overdue)
    assert expiry == {"joblot_lease_expiry", "joblot_sweep_failure_pkey"}


# In the functions of a report: a part of each statement that reads or settles, and its indexes.
IN_A_REPORT = {
    "s.pipeline = ANY": {"joblot_lease_pkey", "joblot_stage_pkey"},
    "l.ranges, l.gone": {"joblot_lease_pkey"},
    "FROM joblot_worker": {"joblot_worker_revoked"},
    ".stage + 1": {"joblot_stage_pkey"},
    "UPDATE joblot_lease": {"joblot_lease_pkey"},
    "s.name, s.pipeline": {"joblot_stage_pkey", "joblot_job_pkey"},
    "FROM joblot_item": {"joblot_item_pkey"},
    "succeeded = joblot_tally.succeeded": {"joblot_tally_pkey"},
    "skipped = joblot_tally.skipped": {"joblot_tally_pkey", "joblot_stage_pkey"},
    "INSERT INTO joblot_metric": {"joblot_metric_pkey"},
    "alert_failed_items": {"joblot_job_pkey"},
    "FROM joblot_range": {"joblot_range_walk"},
}


def test_each_statement_in_the_functions_of_a_report_uses_its_index(job: Job) -> None:
    plain, hooked = worker.lease("p"), worker.lease("p")
    inside = plans(lambda: worker.succeed(plain))
    on_result("p")(lambda results: None)
    inside += plans(lambda: worker.succeed(hooked))
    used = {
        part: {index for plan in inside if part in plan.sql for index in plan.indexes}
        for part in IN_A_REPORT
    }
    assert used == IN_A_REPORT


def test_only_a_query_by_time_reads_all_live_leases(job: Job) -> None:
    """A plan is cached for long: when it was made, few leases were live, and their index cheap."""
    first, second, third = (worker.lease("p") for _ in range(3))
    bad = [failure(worker.numbers(second)[0], "Bad", "broken", retryable=True)]
    every = Wanted.of("p", None, None)
    acts: dict[str, Callable[[], object]] = {
        "claim": lambda: claim("p"),
        "capped claim": lambda: claim("p", owner=1, owner_items_max=5),
        "board": lambda: candidates.cache_for(every).read(every),
        "report": lambda: worker.succeed(first),
        "judged report": lambda: report(second.token, bad),
        "renew": lambda: renew(second.token),
        "release": lambda: release(second.token),
        "expire one": lambda: expire(third.token),
        "expire": expire_overdue,
        "health": overdue,
        "gauges": gauges,
        "in flight": in_flight,
        "in flight of a job": lambda: in_flight(job=job.pk),
        "why": lambda: why(job.pk),
        "reconcile": lambda: reconcile(job.pk),
        "progress": lambda: progress(job.pk),
        "cancel": lambda: cancel(job.pk, grace_seconds=600),
        "end of cancel": lambda: end_cancel(job.pk, grace_seconds=600),
        "close": lambda: close_leases(job.pk, run=1),
        "claim of nothing": lambda: claim("p"),
    }
    found = [(act, plan) for act, done in acts.items() for plan in plans(done)]
    by_time = {act for act, plan in found if "joblot_lease_expiry" in plan.indexes}
    # why: whether a worker that serves a pipeline nobody asks for is at work elsewhere.
    assert by_time == {"expire", "health", "gauges", "in flight", "why"}
    assert {act for act, plan in found if "joblot_lease" in plan.walked} == set()


def test_a_removal_reads_nothing_of_other_jobs(job: Job) -> None:
    acts: dict[str, Callable[[], object]] = {
        "begin": lambda: delete(job.pk),
        "bulk": lambda: removal.go_on(60),
        "finish": lambda: removal.finish(job.pk),
    }
    found = [(act, plan) for act, done in acts.items() for plan in plans(done)]
    assert [(act, plan.sql) for act, plan in found if plan.walked & COPIES.keys()] == []
    used = frozenset().union(*(plan.indexes for _, plan in found))
    assert used >= {"joblot_item_pkey", "joblot_outcome_pkey", "joblot_lease_job_state"}


# So many that a scan is not cheaper, as it would be with none.
UNCOUNTED = """
INSERT INTO joblot_uncounted (job_id, run, stage, number, receipt, hash, output_ref, lease_token)
    SELECT min(j.id), 1, 0, n, 'late', '', 'output ' || n, gen_random_uuid()
    FROM joblot_job j, generate_series(1, 5000) n GROUP BY n;
ANALYZE joblot_uncounted, joblot_outcome;
"""


def test_what_refers_to_a_file_is_looked_up(job: Job) -> None:
    StoredOutput.ledger.create(
        name="a file", hash=b"", state=FileState.STORED, check_at="2020-01-01T00:00:00Z"
    )
    with connections["postgres"].cursor() as cursor:
        cursor.execute(UNCOUNTED)
    indexes = using('"output_ref" IN', lambda: outputs.mark_unreferenced(60))
    assert indexes == {"joblot_outcome_output_ref", "joblot_uncounted_output_ref"}
    assert StoredOutput.ledger.filter(state=FileState.REMOVING).delete()[0] == 1
    Uncounted.ledger.all().delete()


# Waiting ranges and leases of other jobs, so many that looking for one row seems cheap anywhere.
ELSEWHERE = """
INSERT INTO joblot_range (job_id, stage, next, last)
    SELECT id, 0, 10 * n, 10 * n + 9 FROM joblot_job, generate_series(1, 400) n;
INSERT INTO joblot_lease (token, job_id, run, stage, state, size, open, ranges, gone, worker,
                          claimed_at, expires_at)
    SELECT gen_random_uuid(), id, 1, 0, 0, 1, 1, '[]', '[]', '', now(), now() + interval '1 hour'
    FROM joblot_job, generate_series(1, 400);
ANALYZE joblot_job, joblot_stage, joblot_range, joblot_lease;
"""


BY_ID = ("DELETE FROM joblot_range", "UPDATE joblot_range")  # of a range that is locked already


@pytest.fixture
def elsewhere(postgres_only: str) -> Iterator[None]:
    forget_statistics(postgres_only)
    for n in range(20):
        submit(f"other {n}", keys(1), pipeline="elsewhere")
    with connections["postgres"].cursor() as cursor:
        for statement in ELSEWHERE.split(";")[:-1]:
            cursor.execute(statement)
    submit("mine", keys(1), pipeline="mine")
    yield
    databases.empty(postgres_only)
    forget_statistics(postgres_only)


def test_a_search_for_work_reads_nothing_of_other_jobs(elsewhere: None) -> None:
    mine = Wanted.of("mine", None, None)
    lease = worker.lease("mine")
    looks: dict[str, Callable[[], object]] = {
        "claim": lambda: claim("mine"),
        "capped claim": lambda: claim("mine", owner=1, owner_items_max=5),
        "wait": lambda: ready_for({mine}),
        "board": lambda: candidates.cache_for(mine).read(mine),
        "expire": expire_overdue,
        "health": overdue,
        "why": lambda: why(lease.job),
        "reconcile": lambda: reconcile(lease.job),
        "cancel": lambda: cancel(lease.job, grace_seconds=600),
        "end of cancel": lambda: end_cancel(lease.job, grace_seconds=600),
        "release": lambda: release(lease.token),
        "close": lambda: close_leases(lease.job, run=1),
    }
    found = [(name, plan) for name, act in looks.items() for plan in plans(act)]
    crowded = {"joblot_range", "joblot_lease"}
    assert [(name, plan.sql) for name, plan in found if plan.walked & crowded] == []
    looking = [one for one in found if not one[1].sql.startswith(BY_ID)]
    by_id = {name for name, plan in looking if "joblot_range_pkey" in plan.indexes}
    assert by_id == set()
    by_time = {name for name, plan in found if "joblot_lease_expiry" in plan.indexes}
    assert by_time == {"expire", "health"}
