"""A history: which actor acts at each step, and the numbers by which it chooses what to do.

Every choice is a number modulo the number of options, so any step can be removed or simplified and
the others stay meaningful. 0 is always the simplest choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")

DRAWS = 12  # numbers per step
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
        """Parse a step from its `str`."""
        actor, _, draws = text.partition(":")
        return cls(int(actor), tuple(int(draw) for draw in draws.split(".") if draw))


History = Sequence[Step]


def written(history: History) -> str:
    """Format a history as one line, for `replay`."""
    return " ".join(map(str, history))


def parsed(text: str) -> list[Step]:
    """Parse a history formatted by `written`. Raises ValueError."""
    return [Step.of(step) for step in text.split()]


def drawn(seed: int, weights: Sequence[int]) -> Iterator[Step]:
    """Draw an endless sequence of steps; actors act in proportion to their weights."""
    chance = Random(f"{seed} steps")
    actors = range(len(weights))
    while True:
        (actor,) = chance.choices(actors, weights)
        yield Step(actor, tuple(chance.randint(0, NUMBER_MAX) for _ in range(DRAWS)))


class Draws:
    """The numbers of one step, consumed in order; after them, zeros."""

    def __init__(self, step: Step) -> None:
        self._left = iter(step.draws)

    def below(self, n: int) -> int:
        return next(self._left, 0) % n

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent

    def many(self, n: int, choices: Sequence[T], weights: Sequence[int]) -> list[T]:
        """`n` weighted choices from one number; 0 yields the first choice every time."""
        number = next(self._left, 0)
        if number == 0:
            return [choices[0]] * n
        return Random(number).choices(choices, weights, k=n)
