"""What the functions of a project do that matters to the rules."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from joblot.lint.instances import Change, Kind
from joblot.lint.units import Unit


@dataclass(frozen=True, slots=True)
class Write:
    """Something written that another process may have changed since it was read.

    `line` is where it was changed, `saved` where it is written. `given`: the caller of the function
    has passed the object, and may hold a lock on it.
    """

    unit: Unit
    kind: Kind
    model: str | None
    field: str
    line: int
    column: int
    saved: int
    given: bool = False
    by_query: bool = False


@dataclass(slots=True)
class Facts:
    """What the functions do, gathered over all of them."""

    writes: list[Write] = field(default_factory=list)
    # By the name of a function: for each call, whether what it was given can't change meanwhile.
    calls: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    # By the name of a function: what it changes in its object, and leaves for its caller to save.
    changers: dict[str, list[Change]] = field(default_factory=dict)
    saved_in_background: set[str] = field(default_factory=set)
