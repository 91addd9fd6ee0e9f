"""A schedule: which operation moved when, as a string of letters that can be replayed.

`A` lets the first operation run its next statement, `B` the second, `C` the third; `a`, `b`, `c`
kill it before that statement; `!` releases the lock that holds a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from joblot.testing.interleave.database import HOLD
from joblot.testing.interleave.footprint import Footprint
from joblot.testing.interleave.operation import OperationOutcome
from joblot.testing.interleave.statement import Statement


@dataclass(frozen=True, slots=True)
class Choice:
    """The possible next moves. `options` holds their letters, `last` the letter that just moved.

    `free`: `last` would have to wait if another's transaction were not taken as one step.

    An option costs 1 if it preempts an operation that could have continued, kills one, or releases
    a lock early. So the cheap schedules are the ones that are easy to follow, and most races need
    few switches.
    """

    options: str
    last: str
    free: bool = False

    @property
    def default(self) -> str:
        if self.last and self.last in self.options:
            return self.last
        return self.options[0]

    def cost(self, option: str) -> int:
        if option.islower():
            return 1
        if option == HOLD:
            return 0 if self.options == HOLD else 1
        could_go_on = self.last != "" and self.last in self.options and not self.free
        return int(could_go_on and option != self.last)


Chooser = Callable[[Choice, int], str]


@dataclass(slots=True)
class Row:
    """A line of the table: a statement, or a `note` of another event."""

    letter: str
    note: str = ""
    statement: Statement | None = None
    result: str = ""

    @property
    def text(self) -> str:
        return self.note or (self.statement.text if self.statement else "")

    @property
    def shown_result(self) -> str:
        return self.result or (self.statement.result if self.statement else "")


@dataclass(slots=True)
class Schedule:
    """What happened in one run: the choices, the options taken, and the outcomes."""

    taken: str = ""
    choices: list[Choice] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)  # of each step, if `reduced`
    rows: list[Row] = field(default_factory=list)
    outcomes: dict[str, OperationOutcome] = field(default_factory=dict)
    waits: int = 0
    deadlocks: int = 0
    strayed: bool = False  # it could not follow the given prefix
    problem: BaseException | None = None

    @property
    def cost(self) -> int:
        return sum(map(Choice.cost, self.choices, self.taken))

    @property
    def size(self) -> tuple[int, int, str]:
        """The smaller, the easier the schedule is to read."""
        return self.cost, len(self.taken), self.taken

    def neighbours(self, prefix_length: int) -> Iterator[tuple[int, str]]:
        """(index, option) of each schedule that branches off from this one after its prefix.

        A schedule is a prefix followed by defaults. Each derives from exactly one other, by the
        last letter that is not the default, so none is generated twice.
        """
        for index in range(prefix_length, len(self.taken)):
            for option in self.choices[index].options:
                if option != self.taken[index]:
                    yield index, option

    def beginning(self, index: int, option: str) -> tuple[int, str]:
        """(cost, prefix) of the schedules that take this option instead of the one taken."""
        before = sum(map(Choice.cost, self.choices[:index], self.taken[:index]))
        return before + self.choices[index].cost(option), self.taken[:index] + option


def follow(prefix: str) -> Chooser:
    """Choose the letters of the prefix, then always the default."""
    return lambda choice, index: prefix[index] if index < len(prefix) else choice.default


def table(schedule: Schedule, names: Sequence[str]) -> str:
    """Show which operation ran which statement, and what it read or changed."""
    labels = {letter: name_of(letter, names) for letter in {row.letter for row in schedule.rows}}
    width_label = max(map(len, labels.values()), default=0)
    width_text = max((len(row.text) for row in schedule.rows if row.shown_result), default=0)
    return "\n".join(
        f"  {labels[row.letter]:{width_label}}  {row.text:{width_text}}"
        f"{'  → ' + row.shown_result if row.shown_result else ''}".rstrip()
        for row in schedule.rows
    )


def name_of(letter: str, names: Sequence[str]) -> str:
    if letter == HOLD:
        return HOLD
    name = names[ord(letter.upper()) - ord("A")]
    return letter if name == letter else f"{letter} {name}"
