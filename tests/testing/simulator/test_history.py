"""Histories and their shrinking, without a database."""

from __future__ import annotations

from itertools import islice

from joblot.testing.simulator.history import Draws, Step, drawn, parsed, written
from joblot.testing.simulator.shrink import Budget, shrunk


def test_a_written_history_is_read_back():
    history = [Step(3, (7, 0, 12)), Step(0, ()), Step(1, (0, 0, 4))]
    assert parsed(written(history)) == history


def test_zeros_at_the_end_are_not_written():
    assert str(Step(2, (5, 0, 0))) == "2:5"
    assert str(Step(2, (0, 0))) == "2:"
    assert parsed("2:") == [Step(2, ())]


def test_a_seed_draws_the_same_steps_again():
    assert list(islice(drawn(7, [1, 2]), 50)) == list(islice(drawn(7, [1, 2]), 50))
    assert list(islice(drawn(7, [1, 2]), 50)) != list(islice(drawn(8, [1, 2]), 50))


def test_an_actor_without_weight_never_acts():
    assert {step.actor for step in islice(drawn(1, [1, 0, 1]), 200)} == {0, 2}


def test_used_up_numbers_choose_what_is_simplest():
    draw = Draws(Step(0, (5,)))
    assert draw.pick("abc") == "c"
    assert draw.pick("abc") == "a"
    assert not draw.chance(99)
    assert draw.many(3, "ab", [1, 1]) == ["a", "a", "a"]


def test_what_is_not_needed_is_left_out():
    history = [Step(n, (n, 9, n, n)) for n in range(40)]

    def fails(tried):
        return {7, 31} <= {step.actor for step in tried if 9 in step.draws}

    assert shrunk(history, fails, Budget(60)) == [Step(7, (7, 9)), Step(31, (31, 9))]


def test_without_time_a_history_stays_as_it_is():
    history = [Step(n, (n,)) for n in range(4)]
    assert shrunk(history, lambda tried: True, Budget(0)) == history
