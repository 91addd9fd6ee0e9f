"""Shrinking: remove steps, then simplify numbers, as long as the history still fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from joblot.testing.simulator.history import Step

_KEPT = (0, 1, 2, 4)  # numbers per step

Fails = Callable[[list[Step]], bool]


class Budget:
    """How many histories may be played: a count, so that all machines get the same result."""

    def __init__(self, plays_max: int) -> None:
        self._left = plays_max

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def spend(self) -> None:
        self._left -= 1


def shrunk(history: list[Step], fails: Fails, budget: Budget) -> list[Step]:
    """Return the smallest failing history found within the budget."""

    def tried(history: list[Step]) -> bool:
        budget.spend()
        return fails(history)

    while not budget.is_spent:
        before = history
        history = _with_fewer_steps(history, tried, budget)
        history = _with_simpler_steps(history, tried, budget)
        if history == before:
            break
    return history


def _with_fewer_steps(history: list[Step], fails: Fails, budget: Budget) -> list[Step]:
    """Delta debugging: remove halves, then smaller and smaller parts, from the end."""
    size = max(1, len(history) // 2)
    while True:
        place = len(history) - size
        while place > -size and not budget.is_spent:
            first = max(0, place)
            rest = history[:first] + history[place + size :]
            if len(rest) < len(history) and fails(rest):
                history = rest
            place -= size
        if size == 1 or budget.is_spent:
            return history
        size = max(1, size // 2)


def _with_simpler_steps(history: list[Step], fails: Fails, budget: Budget) -> list[Step]:
    """Keep as few of each step's numbers as possible; the omitted ones are 0."""
    for place, step in enumerate(history):
        for kept in _KEPT:
            if budget.is_spent or len(step.draws) <= kept:
                break
            simpler = replace(step, draws=step.draws[:kept])
            tried = [*history[:place], simpler, *history[place + 1 :]]
            if fails(tried):
                history = tried
                break
    return history
