"""Entries that can't be items: in a run they become failed items; `--skip-bad` leaves them out.

Either way each is named, and the good ones are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from joblot.cli.printable import say_aside
from joblot.cli.source import BadEntry, NewItem
from joblot.errors import InvalidItem
from joblot.wire import ClaimedItem, Result, failure
from joblot.worker.function import Work

FIELD = "joblot.bad_entry"  # of the payload that stands for such an entry
NAMED_MAX = 10
HOPELESS = 20  # as many bad entries before the first good one: these are not the items meant


def checked(
    entries: Iterable[NewItem | BadEntry], check: Callable[[NewItem], object]
) -> Iterator[NewItem | BadEntry]:
    """The entries; an item for which `check` raises InvalidItem is a bad one."""
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, BadEntry):
            try:
                check(entry)
            except InvalidItem as error:
                yield BadEntry(f"entry {number}", f"entry {number}: {error}")
                continue
        yield entry


def failing(entries: Iterable[NewItem | BadEntry]) -> Iterator[NewItem]:
    """Items that fail, in place of the bad entries. Raises InvalidItem if no good one comes."""
    held: list[BadEntry] | None = []
    for entry in entries:
        if not isinstance(entry, BadEntry):
            yield from map(_failing, held or ())
            held = None
            yield entry
        elif held is None:
            yield _failing(entry)
        else:
            held.append(entry)
            if len(held) == HOPELESS:
                break
    if held:
        raise InvalidItem(held[0].reason)


def _failing(entry: BadEntry) -> NewItem:
    return {"key": entry.key, "payload": {FIELD: entry.reason}}


def skipping(entries: Iterable[NewItem | BadEntry]) -> Iterator[NewItem]:
    """Only the good entries; the bad ones are named on standard error, the first few of them."""
    bad = 0
    for entry in entries:
        if not isinstance(entry, BadEntry):
            yield entry
            continue
        bad += 1
        if bad <= NAMED_MAX:
            say_aside(f"left out: {entry.reason}")
    if bad > NAMED_MAX:
        say_aside(f"{bad:,} entries left out")


def refusing(entries: Iterable[NewItem | BadEntry]) -> Iterator[NewItem]:
    """Raises InvalidItem for the first bad entry."""
    for entry in entries:
        if isinstance(entry, BadEntry):
            raise InvalidItem(f"{entry.reason}; --skip-bad leaves out what can't be an item")
        yield entry


def failed_first(work: Work) -> Work:
    """The work, which is not called for items that stand for bad entries: these fail."""

    def without(items: Sequence[ClaimedItem]) -> Iterator[list[Result]]:
        reasons = {item.id: reason for item in items if (reason := _reason(item.payload))}
        if reasons:
            yield [failure(number, "BadEntry", reason) for number, reason in reasons.items()]
        if good := [item for item in items if item.id not in reasons]:
            yield from work(good)

    return without


def _reason(payload: Any) -> str:
    if isinstance(payload, Mapping) and set(payload) == {FIELD}:
        return str(payload[FIELD])
    return ""
