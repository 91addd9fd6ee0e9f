"""The file with the truth of a run counts each item once, whichever handler wrote its lines."""

from __future__ import annotations

import pytest

from bench.arena.truth import Truth
from bench.strategies.shape import Batch

FIRST, SECOND, ELSEWHERE = Batch(0, 0, 16), Batch(0, 16, 16), Batch(1, 0, 16)


@pytest.fixture
def truth(tmp_path):
    truth = Truth(tmp_path / "truth")
    yield truth
    truth.close()


def counts(truth):
    truth.read()
    return truth.begun, truth.done


def test_what_was_begun_is_not_yet_done(truth):
    truth.begin(FIRST)
    assert counts(truth) == (16, 0)
    truth.end(FIRST)
    assert counts(truth) == (16, 16)


def test_a_batch_that_comes_again_counts_once(truth):
    for _ in range(2):
        truth.begin(FIRST)
        truth.end(FIRST)
    assert counts(truth) == (16, 16)
    truth.begin(SECOND)
    truth.begin(ELSEWHERE)
    assert counts(truth) == (48, 16)
