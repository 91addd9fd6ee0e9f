"""A hook's rows that a deferred constraint refuses at COMMIT, as Django's foreign keys are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from django.db import connections

from joblot.ledger.read.why import why
from joblot.ledger.report.hooks import SettledResult, on_result
from joblot.ledger.report.report import report
from joblot.ledger.submit.submit import submit
from joblot.wire import success
from tests.ledger import worker
from tests.ledger.worker import counts, keys, status, succeed

TABLES = (
    "CREATE TABLE image (key varchar(9) PRIMARY KEY)",
    "CREATE TABLE found (image varchar(9) REFERENCES image (key) DEFERRABLE INITIALLY DEFERRED)",
)
Keys = Callable[..., list[str]]


@pytest.fixture
def images(ledger_db: str) -> Iterator[Keys]:
    """An adopter's tables. The function adds images by key, and returns those with founds."""

    def add_and_read(*added: str) -> list[str]:
        with connections[ledger_db].cursor() as cursor:
            for key in added:
                cursor.execute("INSERT INTO image VALUES (%s)", [key])
            cursor.execute("SELECT image FROM found ORDER BY image")
            return [key for (key,) in cursor.fetchall()]

    with connections[ledger_db].cursor() as cursor:
        for table in TABLES:
            cursor.execute(table)
    yield add_and_read
    with connections[ledger_db].cursor() as cursor:
        cursor.execute("DROP TABLE found")
        cursor.execute("DROP TABLE image")


@pytest.fixture
def detect(ledger_db: str) -> Callable[[Sequence[SettledResult]], None]:
    def save(results: Sequence[SettledResult]) -> None:
        with connections[ledger_db].cursor() as cursor:
            for result in results:
                cursor.execute("INSERT INTO found VALUES (%s)", [result.key])

    return save


def test_only_the_item_whose_row_is_refused_is_deferred(
    images: Keys, detect: Callable[[Sequence[SettledResult]], None]
) -> None:
    on_result("p")(detect)
    images("k0", "k2", "k3", "k4")
    job = submit("deleted", keys(5), pipeline="p")
    lease = worker.lease()
    answers = report(lease.token, [success(n) for n in range(5)])
    assert [one.receipt for one in answers] == [
        "counted",
        "deferred",
        "counted",
        "counted",
        "counted",
    ]
    assert "on_result('p') raised IntegrityError" in answers[1].reason
    assert images() == ["k0", "k2", "k3", "k4"]
    assert counts(job) == {"succeeded": 4}
    (text, *_) = [one["text"] for one in why(job.pk)["reasons"]]
    assert text.startswith("1 result was deferred because on_result('p') raised IntegrityError: ")
    images("k1")
    assert succeed(lease, 1) == ["counted"]
    assert status(job) == "SUCCESS"
