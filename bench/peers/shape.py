"""The shape that all peers have: what the harness needs to know about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Service = Literal["postgres", "redis"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a peer. `batch`: 0 where it has no batches or its default is meant."""

    name: str
    tuned: bool = False
    batch: int = 0
    fast: bool = False  # processes the headline's number of items in reasonable time
    items_max: int = 0  # where a pause between polls sets the pace, few items show it
    faults: bool = True  # also run with a SIGKILL
    appendfsync: Literal["always", "everysec"] = "always"
    settings: str = ""  # for the reader of the table


@dataclass(frozen=True, slots=True)
class Peer:
    """A framework. `script` answers the verbs prepare, submit and drain on its command line.

    `processes`: how many `drain` the harness starts; 1 where the framework starts its own two.
    `open_items`: SQL or a Redis command whose numbers add up to what the framework still has to do.
    `counted`: the same for what the framework says is done; empty if it keeps no count.
    `final_events`: the same for its final events, where it has these instead of a callback.
    `recovers`: when items of a killed worker run again, as far as its documentation or code says.
    """

    name: str
    title: str
    script: str
    services: tuple[Service, ...]
    variants: tuple[Variant, ...]
    open_items: tuple[str, ...]
    venv: str = ""  # empty: joblot's own
    node: bool = False
    package: str = ""  # whose version is shown
    processes: int = 2
    serves: bool = False  # the workers need a server of the framework's own: the verb `serve`
    counted: tuple[str, ...] = ()
    final_events: tuple[str, ...] = ()
    calls_back: bool = False
    recovers: str = ""
