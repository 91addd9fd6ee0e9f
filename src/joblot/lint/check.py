"""Check files: what the rules find in them, in the order of files and lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from joblot.lint import rules
from joblot.lint.facts import Facts, Write
from joblot.lint.instances import Kind
from joblot.lint.models import PROGRESS, Models
from joblot.lint.network import under_locks
from joblot.lint.rules import RULES, Rule
from joblot.lint.source import Source, sources
from joblot.lint.units import Units
from joblot.lint.writes import facts_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule at a line. `also` are other lines at which a comment suppresses it, too."""

    rule: Rule
    path: Path
    line: int
    column: int
    what: str
    also: tuple[int, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.rule.code,
            "rule": self.rule.name,
            "path": str(self.path),
            "line": self.line,
            "column": self.column + 1,
            "what": self.what,
            "why": self.rule.why,
            "fix": self.rule.fix,
        }


@dataclass(frozen=True, slots=True)
class Report:
    files: int
    findings: tuple[Finding, ...]
    suppressed: int


def check(paths: Iterable[Path], select: Collection[str] = RULES) -> Report:
    """Check all Python files below `paths` together. Raises NotFound."""
    read = sources(paths)
    ignored = {source.path: source.ignored for source in read}
    at_place = {_place(one): one for one in _findings(read) if one.rule.code in select}
    found = sorted(at_place.values(), key=_place)
    kept = tuple(one for one in found if not _is_ignored(one, ignored[one.path]))
    return Report(len(read), kept, len(found) - len(kept))


def _place(one: Finding) -> tuple[str, int, str]:
    return str(one.path), one.line, one.rule.code


def _is_ignored(one: Finding, ignored: dict[int, frozenset[str]]) -> bool:
    lines = (one.line, *one.also)
    return any(one.rule.code in ignored.get(line, frozenset()) for line in lines)


def _findings(read: list[Source]) -> Iterator[Finding]:
    models = Models.of(read)
    units = Units.of(read, models).all
    yield from _unparsed(read)
    facts = facts_of(units, models)
    for write in facts.writes:
        rule = _rule(write, facts, models)
        if rule is not None and not _is_excused(write, facts):
            what = _what(write)
            yield Finding(
                rule, write.unit.source.path, write.line, write.column, what, (write.saved,)
            )
    for call in under_locks(units):
        what = f"{call.called}() while the row that line {call.locked} locks is locked"
        path = call.unit.source.path
        yield Finding(rules.NETWORK_UNDER_LOCK, path, call.line, call.column, what, (call.locked,))


def _unparsed(read: list[Source]) -> Iterator[Finding]:
    for source in read:
        if source.error is not None:
            line, message = source.error
            yield Finding(rules.NOT_PARSED, source.path, line, 0, f"not checked: {message}")


def _is_excused(write: Write, facts: Facts) -> bool:
    """True if every caller in the checked code passes an object that nobody else can change."""
    calls = facts.calls.get(write.unit.name, [])
    return write.given and bool(calls) and all(calls)


def _rule(write: Write, facts: Facts, models: Models) -> Rule | None:
    """The rule that a write breaks; None if nothing says that processes meet at the row."""
    model = models.named(write.model)
    is_worked = model is not None and (
        model.is_worked or (bool(model.status) and write.model in facts.saved_in_background)
    )
    match write.kind:
        case Kind.JSON:
            meet = is_worked or write.unit.in_background or PROGRESS.match(write.field)
            return rules.JSON_READ_MODIFY_WRITE if meet else None
        case Kind.COUNTER:
            return rules.COUNTER_READ_MODIFY_WRITE
        case Kind.STATUS:
            return rules.UNGUARDED_STATUS if is_worked else None
        case Kind.EVERYTHING if write.unit.is_receiver:
            return rules.SIGNAL_FULL_SAVE if model is not None else None
        case Kind.EVERYTHING:
            return rules.FULL_SAVE if is_worked else None


def _what(write: Write) -> str:
    of = f" of {write.model}" if write.model else ""
    where = "" if write.saved == write.line else f", saved in line {write.saved}"
    match write.kind:
        case Kind.JSON:
            return f"{write.field}{of} is read, changed and written back{where}"
        case Kind.COUNTER:
            return f"{write.field}{of} is counted in Python{where}"
        case Kind.STATUS if write.by_query:
            return f"{write.field}{of} is set without a condition on what it is"
        case Kind.STATUS:
            return f"{write.field}{of} is set on an object that was read before{where}"
    return f"every column{of} is saved"
