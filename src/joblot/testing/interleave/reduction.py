"""Partial-order reduction: of all schedules that differ only in the order of statements that don't
meet, one is tried.

The algorithm is that of Flanagan and Godefroid (Dynamic partial-order reduction, POPL 2005): a
completed schedule shows which of its statements met; the other order is tried only where two met
that nothing else had ordered. So that a bound on the switches loses nothing, the other order is
also tried from the beginning of the block (Coons, Musuvathi, McKinley: Bounded partial-order
reduction, OOPSLA 2013), and from every later point at which a switch was free.
"""

from __future__ import annotations

from collections.abc import Iterator

from joblot.testing.interleave.schedule import Schedule

Clock = dict[str, int]  # by letter: the index of its last statement that happened before


def turns(schedule: Schedule) -> Iterator[tuple[int, str]]:
    """(index, letter): where other schedules that must be tried branch off from this one."""
    found = {
        (at, option)
        for index, letter in races(schedule)
        for at in openings(schedule, index)
        for option in (letter if letter in schedule.choices[at].options else others(schedule, at))
    }
    yield from sorted(found)


def races(schedule: Schedule) -> Iterator[tuple[int, str]]:
    """(index, letter): the statement at the index met a later one of the letter's operation."""
    clocks: list[Clock] = []
    own: dict[str, Clock] = {}
    for later, letter in enumerate(schedule.taken):
        before = own.get(letter, {})
        clock = {**before, letter: later}
        for index in range(later):
            earlier = schedule.taken[index]
            if earlier == letter or not met(schedule, index, later):
                continue
            if index > before.get(earlier, -1):
                yield index, letter
            clock = {
                name: max(clock.get(name, -1), clocks[index].get(name, -1))
                for name in clock.keys() | clocks[index].keys()
            }
        clocks.append(clock)
        own[letter] = clock


def met(schedule: Schedule, index: int, later: int) -> bool:
    return schedule.footprints[index].meets(schedule.footprints[later])


def openings(schedule: Schedule, index: int) -> Iterator[int]:
    """Where the other order may begin: at the statement, or earlier in its block at less cost."""
    start = block_start(schedule.taken, index)
    yield from {start, index}
    yield from (at for at in range(start + 1, index) if schedule.choices[at].free)


def block_start(taken: str, index: int) -> int:
    while index and taken[index - 1] == taken[index]:
        index -= 1
    return index


def others(schedule: Schedule, at: int) -> str:
    return schedule.choices[at].options.replace(schedule.taken[at], "")
