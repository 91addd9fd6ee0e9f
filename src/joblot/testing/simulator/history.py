"""A history: which actor acts at each step, and the numbers by which it chooses what to do.

Every choice is a number taken modulo what there is to choose from, so any step may be left out or
made simpler and the others still mean something. 0 is always the simplest choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")

DRAWS = 8  # numbers of a step
NUMBER_MAX = 9_999


@dataclass(frozen=True, slots=True)
class Step:
    """One actor's turn."""

    actor: int
    draws: tuple[int, ...]

    def __str__(self) -> str:
        kept = list(self.draws)
        while kept and kept[-1] == 0:
            kept.pop()
        return f"{self.actor}:{'.'.join(map(str, kept))}"

    @classmethod
    def of(cls, text: str) -> Step:
        """The step that `str` has written."""
        actor, _, draws = text.partition(":")
        return cls(int(actor), tuple(int(draw) for draw in draws.split(".") if draw))


History = Sequence[Step]


def written(history: History) -> str:
    """A history as one line, for `replay`."""
    return " ".join(map(str, history))


def parsed(text: str) -> list[Step]:
    """The history that `written` has written. Raises ValueError."""
    return [Step.of(step) for step in text.split()]


def drawn(seed: int, weights: Sequence[int]) -> Iterator[Step]:
    """Steps without end; actor n acts as often as its weight says."""
    chance = Random(f"{seed} steps")
    actors = range(len(weights))
    while True:
        (actor,) = chance.choices(actors, weights)
        yield Step(actor, tuple(chance.randint(0, NUMBER_MAX) for _ in range(DRAWS)))


class Draws:
    """The numbers of one step, used up one after the other; then zeros."""

    def __init__(self, step: Step) -> None:
        self._left = iter(step.draws)

    def below(self, n: int) -> int:
        return next(self._left, 0) % n

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent

    def many(self, n: int, choices: Sequence[T], weights: Sequence[int]) -> list[T]:
        """`n` choices by weight from one number; all of them the first for 0."""
        number = next(self._left, 0)
        if number == 0:
            return [choices[0]] * n
        return Random(number).choices(choices, weights, k=n)
