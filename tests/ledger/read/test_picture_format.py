"""The bytes of a picture: they say exactly what its cells are, in few bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joblot.ledger.read.picture import Legend, Picture
from joblot.ledger.read.picture_format import changes, whole
from joblot.states import JobStatus
from tests.ledger.read.decoded_picture import decoded

MILLION = 1_000_000
RUNS = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 300)), max_size=40)
CELLS = st.one_of(
    st.binary(max_size=200).map(lambda raw: bytes(one & 7 for one in raw)),
    RUNS.map(lambda runs: b"".join(bytes([code]) * length for code, length in runs)),
)


def of(cells: bytes, legend: Legend = Legend.JOB) -> Picture:
    return Picture(
        job_id=7,
        stage=None,
        status=JobStatus.STARTED,
        run=3,
        revision=0,
        total=len(cells),
        first=0,
        legend=legend,
        cells=cells,
        as_of=datetime(2026, 11, 24, 0, 12, 0, 7, tzinfo=UTC),
        is_final=False,
    )


def mixed(share: float) -> bytes:
    """A million items, of which this share failed, anywhere."""
    return bytes(random.Random(7).choices((3, 4), (1 - share, share), k=MILLION))


@given(CELLS)
def test_what_is_written_is_read(cells: bytes) -> None:
    found = decoded(whole(of(cells)))
    assert found.cells == cells
    assert found.counts == tuple(cells.count(code) for code in range(8))
    assert (found.legend, found.run, found.as_of_us) == (0, 3, 1_795_479_120_000_007)


@given(CELLS, st.randoms(use_true_random=False))
def test_changes_turn_one_picture_into_the_next(before: bytes, chance: random.Random) -> None:
    after = bytes(chance.choice((one, one, chance.randrange(8))) for one in before)
    body = changes(of(before), of(after), most=len(before))
    assert body is not None
    found = decoded(body, before)
    assert (found.encoding, found.cells) == (2, after)


@pytest.mark.parametrize(
    ("cells", "most"),
    [
        (lambda: bytes(MILLION), 60),
        (lambda: bytes([3]) * 600_000 + bytes([2]) * 400 + bytes(MILLION - 600_400), 70),
        (lambda: mixed(0.0045), 14_000),
        (lambda: mixed(0.1), 260_000),
        (lambda: bytes(random.Random(7).choices(range(8), k=MILLION)), 375_056),
    ],
    ids=["untouched", "halfway", "few failed", "a tenth failed", "worst"],
)
def test_a_million_items_are_few_bytes(cells: Callable[[], bytes], most: int) -> None:
    assert len(whole(of(cells()))) <= most


def test_no_change_is_a_header() -> None:
    assert len(changes(of(bytes(9)), of(bytes(9)), most=0) or b"") == 56


def test_too_many_changes_are_not_sent() -> None:
    before, after = bytes(10), bytes([3, 0]) * 5
    assert changes(of(before), of(after), most=5) is not None
    assert changes(of(before), of(after), most=4) is None


def test_pictures_of_other_items_or_meanings_have_no_changes() -> None:
    assert changes(of(bytes(9)), of(bytes(10)), most=9) is None
    assert changes(of(bytes(9)), of(bytes(9), Legend.CANCELED), most=9) is None
