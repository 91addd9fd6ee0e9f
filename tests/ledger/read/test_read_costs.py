"""The cost of a reader: what it shows, plus a bounded search, however large the job is.

Every statement of every reader is measured on a job of 100,000 items, on both databases; with fresh
statistics, with those of a time when the tables were nearly empty, and with none. Plans change with
the statistics: a page that was cheap yesterday must not read the whole job today.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.db import connections

from joblot.api.metrics import all_gauges
from joblot.contrib.antenna.ahead import held_ahead
from joblot.contrib.antenna.offers import offers, others_wait
from joblot.identity import tokens as tokens_of
from joblot.ledger.claim.availability import next_job, ready_for
from joblot.ledger.claim.candidates import Wanted
from joblot.ledger.job.bulk_by_filter import ask
from joblot.ledger.maintain.pipelines import edit_pipeline
from joblot.ledger.read.audit import audit
from joblot.ledger.read.causes import causes
from joblot.ledger.read.chosen import chosen, count_chosen
from joblot.ledger.read.endings import endings_among, outputs_among
from joblot.ledger.read.eta import eta
from joblot.ledger.read.filters import RECEIPTS, STATES, ItemFilters, JobFilters
from joblot.ledger.read.health import health
from joblot.ledger.read.history import events
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.item import item
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.listing import counts, listing
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.map import job_map
from joblot.ledger.read.pace import paces
from joblot.ledger.read.partition import partition
from joblot.ledger.read.picture import picture
from joblot.ledger.read.pipelines import pipelines
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.read.projects import project_names
from joblot.ledger.read.pulse import overdue, require_database
from joblot.ledger.read.results import results, results_page
from joblot.ledger.read.runs import runs
from joblot.ledger.read.search import search
from joblot.ledger.read.snapshot import newer_jobs, snapshot, snapshots
from joblot.ledger.read.summary import summary
from joblot.ledger.read.throughput import throughput
from joblot.ledger.read.unserved import unserved
from joblot.ledger.read.why import why
from joblot.ledger.read.workers import workers
from joblot.ledger.rows.job import read_job, stages_of
from joblot.ledger.submit.submit import submit
from joblot.states import ItemState, JobStatus
from joblot.webhooks.delivery import deliveries, waiting
from joblot.webhooks.subscriptions import subscribe, webhook, webhooks
from tests import databases
from tests.ledger.large import CAUSE, ITEMS, large_job
from tests.ledger.statistics import analyse, forget_statistics
from tests.ledger.work import work
from tests.ledger.worker import keys
from tests.meta.sources import ROOT

PROBE = 2_000  # page_probe_items
WORK_MAX = {"postgres": 10 * PROBE, "sqlite": 100 * PROBE}
# The audit reads every item a few times; its cost must not be quadratic.
AUDIT_MAX = {"postgres": 20 * ITEMS, "sqlite": 300 * ITEMS}

Reader = Callable[[int], object]
SEARCHES: list[Reader] = [
    *(
        partial(search, filters=ItemFilters(state=state, stage="save", after=after))
        for state in STATES
        for after in (-1, ITEMS // 2)
    ),
    partial(search, filters=ItemFilters(after=ITEMS // 2, q="k")),
    *(partial(search, filters=ItemFilters(worker="w", receipt=one)) for one in RECEIPTS),
]
READERS: dict[str, list[Reader]] = {
    "progress": [progress],
    "jobs": [
        lambda job: jobs(),
        lambda job: jobs(project="default", status=JobStatus.STARTED, before=job + 1),
        lambda job: jobs(projects=["default", "other"]),
    ],
    "items": [
        partial(items, state=state, stage=stage, after=after)
        for state in (None, *(one.name.lower() for one in ItemState))
        for stage in (None, "read", "save")
        for after in (-1, ITEMS // 2)
    ],
    "listing": [
        lambda job: listing(JobFilters(q="small", pipeline=("elsewhere",))),
        lambda job: listing(JobFilters(status=(JobStatus.STARTED,), sort="name")),
    ],
    "listing of an owner": [lambda job: listing(JobFilters(owner=("ana",)))],
    "chosen": [lambda job: chosen(JobFilters()), lambda job: chosen([job], projects=["default"])],
    "ask": [lambda job: ask("pause", {}), lambda job: ask("cancel", {"project": "default"})],
    "count_chosen": [lambda job: count_chosen(JobFilters(status=(JobStatus.STARTED,)))],
    "paces": [lambda job: paces([progress(job)])],
    "snapshots": [lambda job: snapshots([job])],
    "newer_jobs": [lambda job: newer_jobs(job - 5, JobFilters(q="small"))],
    "project_names": [lambda job: project_names(100)],
    "counts": [lambda job: counts(JobFilters())],
    "partition": [partition],
    "eta": [eta],
    "throughput": [lambda job: throughput(job, "run")],
    "runs": [runs],
    "item": [partial(item, number=number) for number in (7, ITEMS - 1)],
    "search": SEARCHES,
    "items of a cause": [
        partial(items, cause=cause, state=state, stage=stage, after=after)
        for cause in (CAUSE, "0" * 16)
        for state, stage in ((None, None), ("lost", None), (None, "save"))
        for after in (-1, ITEMS // 2)
    ],
    "summary": [summary],
    "snapshot": [snapshot],
    "endings_among": [partial(endings_among, numbers=range(1_000))],
    "outputs_among": [lambda job: list(outputs_among(job, range(1_000)))],
    "results": [lambda job: next(results(job))],
    "results_page": [lambda job: results_page(job, state="failed")],
    "causes": [causes, lambda job: causes(job, stage="save")],
    "outputs": [lambda job: next(outputs(job)), lambda job: next(outputs(job, stage="read"))],
    "events": [events],
    "logs": [
        logs,
        lambda job: logs(job, newest=True, limit=200),
        lambda job: logs(job, before=logs(job, newest=True)[-1]["id"]),
        lambda job: logs(job, after=logs(job)[-1]["id"], level="info"),
        lambda job: logs(job, newest=True, item=7),
    ],
    "why": [why],
    "job_map": [lambda job: job_map(job, stage="save", first=ITEMS // 2, last=ITEMS // 2 + 999)],
    "in_flight": [lambda job: in_flight(), lambda job: in_flight(job=job, worker="w")],
    "overdue": [lambda job: overdue()],
    "health": [lambda job: health()],
    "figures": [lambda job: all_gauges()],
    "waiting": [lambda job: waiting()],
    "next_job": [lambda job: next_job(["p", "q"])],
    "ready_for": [lambda job: ready_for({Wanted.of("p", None, None)})],
    "offers": [lambda job: list(offers(["p", "q"]))],
    "others_wait": [lambda job: others_wait(job, ["p"], None)],
    "held_ahead": [lambda job: held_ahead(job, "w", 60)],
    "workers": [lambda job: workers()],
    "pipelines": [lambda job: pipelines()],
    "unserved": [lambda job: unserved(), lambda job: unserved(["default"])],
    "webhooks": [lambda job: webhooks()],
    "webhook": [lambda job: webhook(webhooks()[0]["id"])],
    "deliveries": [lambda job: deliveries(webhooks()[0]["id"], state="pending")],
    "tokens": [lambda job: tokens_of.tokens()],
    "any_token": [lambda job: tokens_of.any_token()],
    "read_job": [read_job],
    "stages_of": [stages_of],
    "require_database": [lambda job: require_database()],
}

# These read every item.
WHOLE: dict[str, Reader] = {
    "audit": audit,
    "picture": picture,
    "picture of a stage": lambda job: picture(job, stage="save"),
}

# Functions that the API and the command line call and that are not readers of jobs.
OTHERS = {
    "submit_one",
    *("policy_of", "output_of"),  # of a row that was read: its policy, and its output's file
    *("submit", "add_items", "seal", "start", "pause", "resume", "cancel", "retry", "delete"),
    "edit",
    "act_on_all",
    *("log", "on_fan_out"),
    *("prune_for", "revoke_worker", "restore_worker"),
    "described",  # a value of a worker's row
    *("claim", "report", "release", "renew", "renew_many", "renew_ahead", "expire", "repair"),
    *("take", "offered"),  # the second reads one lease, by its token
    *("sweep", "sweep_until", "send_until", "migration_lock"),
    *("issue", "revoke", "authenticate", "subscribe", "end", "resend"),
    *(
        "alias",
        "checked_name",
        "knowing",
        "limit_to",
        "one_snapshot",
        "storage",
        "translated",
    ),
    *("claim_as", "report_and_claim"),
    *("edit_pipeline", "keep_printed"),
    *("checked_item", "database_files", "location", "repeated"),
    "gauges",  # among `all_gauges`
    *("audit", "audit_all", "picture"),  # read every item
}


def test_every_reader_costs_what_it_shows_whatever_the_statistics(ledger_db: str) -> None:
    subscribe("https://example.com/hook")
    edit_pipeline("elsewhere", policy={"in_flight_items_max": 1_000})
    for n in range(20):
        submit(f"small {n}", keys(3), pipeline="elsewhere")
    analyse(ledger_db)
    try:
        job = large_job(ledger_db).pk
        found = {("stale", *one) for one in _expensive(ledger_db, job)}
        analyse(ledger_db)
        found |= {("fresh", *one) for one in _expensive(ledger_db, job)}
        forget_statistics(ledger_db)
        found |= {("none", *one) for one in _expensive(ledger_db, job)}
        assert found == set()
    finally:
        _remove(ledger_db)


def _expensive(using: str, job: int) -> Iterator[tuple[str, int, str]]:
    most = WORK_MAX[using]
    for name, calls in READERS.items():
        for call in calls:
            for sql, done in work(using, partial(call, job)).items():
                if done > most:
                    yield name, done, sql
    for name, whole in WHOLE.items():
        for sql, done in work(using, partial(whole, job)).items():
            if done > AUDIT_MAX[using]:
                yield name, done, sql


@pytest.fixture(autouse=True)
def short_probe(configure: Callable[..., None]) -> None:
    configure(page_probe_items=PROBE)


def _remove(using: str) -> None:
    """Remove all rows at once, so that later tests find small tables, and no statistics."""
    if connections[using].vendor == "sqlite":
        databases.empty(using)
    else:
        with connections[using].cursor() as cursor:
            tables = [t for t in connections[using].introspection.table_names() if "joblot_" in t]
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
    forget_statistics(using)


def test_every_reader_that_is_called_from_outside_is_measured() -> None:
    places = ("api", "contrib", "cli/verbs.py", "server")
    found = {name for place in places for name in _called(place)}
    assert found - OTHERS - set(READERS) == set()


def path_of(package: str) -> Path:
    return ROOT.joinpath("src", *package.split("."))


def _called(where: str) -> Iterator[str]:
    """The functions that these files import from the ledger and its neighbors."""
    path = ROOT / "src" / "joblot" / where
    for file in [path] if path.is_file() else path.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            of = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and of.startswith(
                (
                    "joblot.ledger.",
                    "joblot.contrib.antenna.ahead",
                    "joblot.contrib.antenna.offers",
                    "joblot.ledger.read.workers",
                    "joblot.identity.tokens",
                    "joblot.webhooks.",
                )
            ):
                modules = {file.stem for file in path_of(of).glob("*.py")}
                yield from (
                    one.name for one in node.names if one.name.islower() and one.name not in modules
                )
