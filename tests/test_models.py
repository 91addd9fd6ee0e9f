"""Only the ledger may write: the models refuse other writes, and so does the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connections, transaction

from joblot.errors import LedgerOwned
from joblot.ledger.job.lifecycle import pause
from joblot.ledger.submit.submit import submit
from joblot.models import Item, Job, Token, Webhook, WebhookDelivery, WorkerInstance
from joblot.testing.simulator import recount
from tests.ledger import worker
from tests.ledger.worker import fail, keys, status, succeed

MODELS = [
    model
    for model in apps.get_app_config("joblot").get_models()
    if model
    not in (Token, WorkerInstance, Webhook, WebhookDelivery)  # callers, and receivers of events
]
OWNED: dict[str, Any] = {
    "status": "SUCCESS",
    "run": 2,
    "revision": 1,
    "version": 99,
    "sealed": False,
    "total": 0,
    "config": {"x": 1},
    "policy": {},
    "recorded": [],
    "finished_at": "2030-01-01T00:00:00Z",
    "deleted_at": "2030-01-01T00:00:00Z",
    "idempotency_key": "stolen",
}


@pytest.fixture
def job(ledger_db: str) -> Job:
    return submit("guarded", keys(3), pipeline="p")


def fresh(job: Job) -> Job:
    found: Job = Job.objects.get(pk=job.pk)
    return found


@pytest.mark.parametrize("field", OWNED)
def test_no_owned_column_is_written_by_the_orm(job: Job, field: str) -> None:
    before = fresh(job).__dict__ | {"_state": None}
    stale = fresh(job)
    setattr(stale, field, OWNED[field])
    writes: list[Callable[[], Any]] = [
        lambda: stale.save(update_fields=[field]),
        lambda: stale.save(update_fields=["name", field]),
        lambda: Job.objects.filter(pk=job.pk).update(**{field: OWNED[field]}),
        lambda: Job.objects.filter(pk=job.pk).update(name="x", **{field: OWNED[field]}),
        lambda: Job.objects.bulk_update([stale], [field]),
    ]
    for write in writes:
        with pytest.raises(LedgerOwned, match=f"Job.{field}"):
            write()
    stale.save()  # saves only what adopters may change
    assert fresh(job).__dict__ | {"_state": None} == before


def test_a_stale_instance_saves_its_own_columns_only(job: Job) -> None:
    stale = fresh(job)
    worker.drain()
    stale.name, stale.priority = "renamed", 7
    stale.save()
    now = fresh(job)
    assert (now.name, now.priority, now.status) == ("renamed", 7, "SUCCESS")
    assert now.recorded is not None
    recount.check(now)


def test_renaming_disturbs_no_settling(job: Job) -> None:
    lease = worker.lease()
    Job.objects.filter(pk=job.pk).update(name="renamed", priority=3, project="elsewhere")
    renamed = fresh(job)
    renamed.name = "again"
    Job.objects.bulk_update([renamed], ["name"])
    succeed(lease)
    assert (fresh(job).name, status(job)) == ("again", "SUCCESS")


def test_a_job_is_made_and_removed_by_the_verbs_only(job: Job) -> None:
    for write in (
        lambda: Job(name="x").save(),
        lambda: Job.objects.create(name="x"),
        lambda: Job.objects.bulk_create([Job(name="x")]),
        lambda: Job.objects.get_or_create(name="x"),
        lambda: fresh(job).delete(),
        lambda: Job.objects.all().delete(),
    ):
        with pytest.raises(LedgerOwned):
            write()
    assert Job.objects.count() == 1


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_no_table_is_written_through_its_default_manager(ledger_db: str, model: Any) -> None:
    rows = model.objects.all()
    for write in (
        rows.delete,
        rows.create,
        lambda: rows.bulk_create([model()]),
        lambda: rows.update_or_create(pk=1),
        lambda: rows.update(pk=1),
        lambda: model().save(),
        lambda: model().delete(),
    ):
        with pytest.raises(LedgerOwned):
            write()


def test_reading_is_open_to_everybody(job: Job) -> None:
    assert Item.objects.filter(job__name="guarded", key__startswith="k").count() == 3
    assert Job.objects.filter(status="PENDING").exists()
    assert str(job) == f"job {job.pk} (guarded)"


REFUSED_SQL = {
    "without the version": "status = 'PAUSED'",
    "with the version of another": "status = 'PAUSED', version = version + 2",
    "backwards": "status = 'CREATED', version = version + 1",
    "to an end it can't have": "status = 'REVOKED', version = version + 1",
    "to no status at all": "status = 'DONE', version = version + 1",
    "the counts": "total = 0",
    "what was recorded": "recorded = '[]'",
    "the run alone": "run = run + 1, version = version + 1",
    "the seal": "sealed = NOT sealed",
    "the version alone": "version = version + 2",
}


@pytest.mark.parametrize("change", REFUSED_SQL.values(), ids=REFUSED_SQL)
def test_the_database_refuses_a_hand_written_update(job: Job, ledger_db: str, change: str) -> None:
    before = fresh(job).version
    with pytest.raises(DatabaseError), transaction.atomic(using=ledger_db):
        execute(ledger_db, f"UPDATE joblot_job SET {change} WHERE id = {job.pk}")
    assert fresh(job).version == before


@pytest.mark.parametrize("end", ["SUCCESS", "FAILURE", "COMPLETED_WITH_ERRORS"])
def test_the_database_keeps_an_end_an_end(job: Job, ledger_db: str, end: str) -> None:
    lease = worker.lease()
    if end != "SUCCESS":
        fail(lease, *([0, 1] if end == "FAILURE" else [0]))
    succeed(lease, *[n for n in range(3) if n > {"SUCCESS": -1, "FAILURE": 1}.get(end, 0)])
    assert status(job) == end
    for change in (
        "status = 'STARTED'",
        "status = 'PENDING', run = run + 1",
        "status = 'CREATED'",
        "revision = revision + 2",
        "revision = revision - 1",
        "recorded = '[]'",
        "recorded = NULL",
        "finished_at = NULL",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(using=ledger_db):
            execute(
                ledger_db,
                f"UPDATE joblot_job SET {change}, version = version + 1 WHERE id = {job.pk}",
            )
    assert status(job) == end


def test_the_database_lets_through_what_adopters_may_change(job: Job, ledger_db: str) -> None:
    execute(ledger_db, f"UPDATE joblot_job SET name = 'by hand' WHERE id = {job.pk}")
    assert fresh(job).name == "by hand"


def test_a_write_through_a_version_that_has_passed_changes_nothing(job: Job) -> None:
    from joblot.ledger.rows.job import advance

    stale = fresh(job)
    pause(job.pk)
    assert not advance(job.pk, stale.version, status="STARTED")
    assert status(job) == "PAUSED"


def execute(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
