"""The pictures that a process keeps: built when someone looks, as often as they may cost."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier
from typing import Any

import pytest

from joblot.errors import NotFound
from joblot.ledger.job.retry import retry
from joblot.ledger.read import pictures as module
from joblot.ledger.read.picture import picture
from joblot.ledger.read.pictures import Pictures, Shown
from joblot.ledger.submit.submit import submit
from joblot.models import Job
from joblot.wire import failure, success
from tests.ledger import worker
from tests.ledger.conftest import Clock
from tests.ledger.read.decoded_picture import decoded
from tests.ledger.worker import keys


@pytest.fixture
def job(ledger_db: str) -> Job:
    return submit("some", keys(100), pipeline="p")


@pytest.fixture
def at_once(configure: Callable[..., None]) -> None:
    """Every look finds a picture due."""
    configure(picture_seconds_min=1e-9, picture_rest_factor_min=1e-9)


def settle(items: int) -> None:
    worker.succeed(worker.lease("p", items))


def test_a_picture_is_shown_until_the_next_is_due(job: Job, configure: Callable[..., None]) -> None:
    configure(picture_seconds_min=3_600.0)
    pictures = Pictures()
    first = pictures.latest(Shown(job.pk))
    settle(10)
    assert pictures.latest(Shown(job.pk)) is first
    assert Pictures().latest(Shown(job.pk))[0].counts[3] == 10


def test_what_takes_long_to_build_rests_longer(job: Job, configure: Callable[..., None]) -> None:
    configure(picture_seconds_min=1e-9, picture_rest_factor_min=1e9)
    pictures = Pictures()
    first = pictures.latest(Shown(job.pk))
    second = pictures.latest(Shown(job.pk))
    assert second is not first  # for the first one reads more than the next
    assert pictures.latest(Shown(job.pk)) is second


@pytest.mark.usefixtures("at_once")
def test_changes_since_a_picture_turn_it_into_the_next(job: Job) -> None:
    pictures = Pictures()
    before, _ = pictures.latest(Shown(job.pk))
    settle(10)
    after, body = pictures.changes(Shown(job.pk), before.tag)
    found = decoded(body, before.cells)
    assert (found.encoding, found.cells) == (2, after.cells)
    assert found.counts[3] == 10


@pytest.mark.usefixtures("at_once")
def test_nothing_has_changed(job: Job, clock: Clock) -> None:
    pictures = Pictures()
    before, _ = pictures.latest(Shown(job.pk))
    clock.forward(1)
    after, body = pictures.changes(Shown(job.pk), before.tag)
    assert (after.tag, len(body)) == (before.tag, 56)
    assert after.as_of > before.as_of


@pytest.mark.usefixtures("at_once")
def test_the_whole_is_sent_where_the_base_is_unknown(job: Job) -> None:
    _, body = Pictures().changes(Shown(job.pk), "0" * 24)
    assert decoded(body).encoding in (0, 1)


def test_the_whole_is_sent_where_too_much_has_changed(
    job: Job, configure: Callable[..., None]
) -> None:
    configure(picture_seconds_min=1e-9, picture_rest_factor_min=1e-9, picture_changes_max=1)
    pictures = Pictures()
    before, _ = pictures.latest(Shown(job.pk))
    lease = worker.lease("p", 10)
    worker.receipts(lease, success(0), failure(1, "Bad"), success(2))
    assert decoded(pictures.changes(Shown(job.pk), before.tag)[1]).encoding in (0, 1)


@pytest.mark.usefixtures("at_once")
def test_a_retry_is_seen_after_the_last_picture_of_a_run(ledger_db: str) -> None:
    job = submit("one", keys(1), pipeline="p")
    worker.fail(worker.lease("p"))
    pictures = Pictures()
    assert pictures.latest(Shown(job.pk))[0].counts[4] == 1
    retry(job.pk)
    assert pictures.latest(Shown(job.pk))[0].counts[0] == 1


def test_pictures_keep_within_their_limit(job: Job, configure: Callable[..., None]) -> None:
    other = submit("other", keys(100), pipeline="q")
    configure(picture_cache_bytes_max=2_000, picture_seconds_min=3_600.0)
    pictures = Pictures()
    first = pictures.latest(Shown(job.pk))
    pictures.latest(Shown(other.pk))
    again = pictures.latest(Shown(job.pk))
    assert again is not first
    assert again[0].tag == first[0].tag


def test_concurrent_viewers_share_one_picture(
    job: Job, in_thread: Any, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(picture_seconds_min=3_600.0)
    built: list[int] = []
    together = Barrier(4)

    def counted(job_id: int, **asked: Any) -> Any:
        built.append(job_id)
        return picture(job_id, **asked)

    def look(pictures: Pictures) -> str:
        together.wait(30)
        return pictures.latest(Shown(job.pk))[0].tag

    monkeypatch.setattr(module, "picture", counted)
    pictures = Pictures()
    looks = [in_thread(look, pictures) for _ in range(4)]
    assert len({one.result() for one in looks}) == 1
    assert built == [job.pk]


def test_an_unknown_job_is_an_error_each_time(ledger_db: str) -> None:
    pictures = Pictures()
    for _ in range(2):
        with pytest.raises(NotFound):
            pictures.latest(Shown(12_345))
    assert not pictures._kept
