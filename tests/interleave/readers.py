"""Every reader, its call in a scene, and what it may answer while a verb runs."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from django.db import connections

from joblot.api.metrics import all_gauges
from joblot.errors import JoblotError
from joblot.ledger.claim.availability import next_job
from joblot.ledger.read.audit import audit
from joblot.ledger.read.eta import eta
from joblot.ledger.read.filters import ItemFilters, JobFilters
from joblot.ledger.read.history import events
from joblot.ledger.read.in_flight import in_flight
from joblot.ledger.read.item import item
from joblot.ledger.read.items import items, outputs
from joblot.ledger.read.listing import counts, listing
from joblot.ledger.read.log_lines import logs
from joblot.ledger.read.map import job_map
from joblot.ledger.read.partition import partition
from joblot.ledger.read.progress import jobs, progress
from joblot.ledger.read.pulse import overdue
from joblot.ledger.read.runs import runs
from joblot.ledger.read.search import search
from joblot.ledger.read.summary import summary
from joblot.ledger.read.throughput import throughput
from joblot.ledger.read.why import why
from joblot.ledger.read.workers import workers
from joblot.states import JobStatus
from joblot.testing.interleave import OperationOutcome
from joblot.testing.interleave.statement import Statement
from joblot.webhooks.delivery import deliveries
from joblot.webhooks.subscriptions import webhooks
from tests.interleave.scenes import Scene
from tests.stepped import watched

T = TypeVar("T")
Reader = Callable[[Scene], Any]
Answers = Mapping[str, str]

READERS: dict[str, Reader] = {
    "progress": lambda s: progress(s.job.pk),
    "jobs": lambda s: jobs(),
    "jobs that are started": lambda s: jobs(status=JobStatus.STARTED),
    "listing": lambda s: listing(JobFilters(sort="name")),
    "counts": lambda s: {k.value: str(v) for k, v in counts(JobFilters()).items()},
    "partition": lambda s: partition(s.job.pk),
    "eta": lambda s: eta(s.job.pk),
    "throughput": lambda s: throughput(s.job.pk, "run"),
    "runs": lambda s: runs(s.job.pk),
    "item": lambda s: item(s.job.pk, 0),
    "search": lambda s: search(s.job.pk, ItemFilters(state="ready", q="k")),
    "items": lambda s: items(s.job.pk),
    "items that failed": lambda s: items(s.job.pk, state="failed"),
    "items that are open": lambda s: items(s.job.pk, state="open"),
    "outputs": lambda s: list(outputs(s.job.pk)),
    "events": lambda s: events(s.job.pk),
    "logs": lambda s: logs(s.job.pk),
    "summary": lambda s: summary(s.job.pk),
    "why": lambda s: without_damage(why(s.job.pk)),
    "map": lambda s: job_map(s.job.pk),
    "audit": lambda s: audit(s.job.pk),
    "in flight": lambda s: in_flight(),
    "overdue": lambda s: overdue(),
    "metrics": lambda s: [str(figure) for figure in all_gauges()],
    "next job": lambda s: next_job(["p", "q"]).as_json(),
    "workers": lambda s: workers(),
    "webhooks": lambda s: webhooks(),
    "deliveries": lambda s: deliveries(1),
}

TOKEN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def without_damage(answer: dict[str, Any]) -> dict[str, Any]:
    """`why` says that items are missing only after damage, in no state that a verb commits."""
    assert "missing" not in {one["code"] for one in answer["reasons"]}, answer
    return answer


def answer(reader: Reader, scene: Scene) -> str:
    """The reader's answer or error, without tokens, which are random."""
    try:
        shown = json.dumps(reader(scene), sort_keys=True)
    except JoblotError as error:
        shown = f"{type(error).__name__}: {error}"
    return TOKEN.sub("token", shown)


def answers(readers: Mapping[str, Reader], scene: Scene) -> Answers:
    return {name: answer(reader, scene) for name, reader in readers.items()}


def of_several_statements(using: str, scene: Scene) -> Mapping[str, Reader]:
    """The readers that a verb could overtake: a single statement sees one instant."""

    def statements(reader: Reader) -> int:
        sent = []

        def count(execute: Any, sql: str, *rest: Any) -> Any:
            sent.append(sql)
            return execute(sql, *rest)

        with connections[using].execute_wrapper(count):
            answer(reader, scene)
        return len(sent)

    return {name: reader for name, reader in READERS.items() if statements(reader) > 1}


class Witness:
    """Sees, on its own connection, every state that a verb commits on its way."""

    def __init__(self, using: str) -> None:
        self._using = using

    def seen(
        self, readers: Mapping[str, Reader], scene: Scene, verb: Callable[[], Any]
    ) -> Mapping[str, set[str]]:
        """By reader, its answers in every committed state, from before the verb to its end.

        It reads before each of the verb's statements, also of those in a function, which affects no
        other connection, and at the end, so that no commit is missed.
        """
        found: dict[str, set[str]] = defaultdict(set)
        with ThreadPoolExecutor(1, initializer=connections.close_all) as elsewhere:

            def look() -> None:
                for name, shown in elsewhere.submit(answers, readers, scene).result().items():
                    found[name].add(shown)

            def before(execute: Any, *statement: Any) -> Any:
                look()
                return execute(*statement)

            conn = connections[self._using]
            with conn.execute_wrapper(before), watched(conn, _Looking(look)), suppress(JoblotError):
                verb()
            look()
            elsewhere.submit(connections.close_all).result()
        return found


class _Looking:
    """Looks at each step of a function, where the explorer's operation would stop."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def perform(self, statement: Statement, call: Callable[[], T], is_busy: object) -> T:
        return call()

    def step(self, statement: Statement, go_on: Callable[[], None]) -> None:
        self._look()
        go_on()


def require_one_state(name: str, seen: set[str], outcomes: Mapping[str, OperationOutcome]) -> None:
    shown = outcomes[name].value
    assert shown in seen, f"{name} answered of no one instant: {shown}"
