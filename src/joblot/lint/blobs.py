"""Where code reads or changes a JSON field of an object, or a name that holds its value."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from joblot.lint.queries import within
from joblot.lint.units import last

_CHANGES = re.compile(
    r"^(update|add|set|append|insert|extend|remove|pop|clear|increment|inc|bump|record|mark|merge"
    r"|setdefault|discard|reset)"
)
# What makes a copy: changing it does not change the object.
_COPIES = {"copy", "deepcopy", "dict", "dumps", "list", "loads", "sorted", "model_dump"}
# What the database computes from the row as it is then.
_BY_DATABASE = re.compile(r"^(F|Func|RawSQL|Case|JSON(Set|Remove|Object|BSet)|Jsonb?\w*Set)$")


@dataclass(frozen=True, slots=True)
class Blob:
    """A JSON field of an object: `job` and `progress`."""

    instance: str
    field: str


@dataclass(slots=True)
class Blobs:
    """The names of a function that hold a value read from a JSON field.

    `held` are part of the object, so changing them changes it; `copies` are not.
    """

    is_json: Callable[[str, str], bool]
    held: dict[str, Blob] = field(default_factory=dict)
    copies: dict[str, Blob] = field(default_factory=dict)

    def read_in(self, node: ast.AST) -> Blob | None:
        """The JSON field that an expression reads, itself or by a name."""
        for one in within(node):
            if (found := self._at(one)) is not None:
                return found
            if isinstance(one, ast.Name) and one.id in self.copies:
                return self.copies[one.id]
        return None

    def _at(self, node: ast.AST) -> Blob | None:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            instance = ast.unparse(node.value)
            if self.is_json(instance, node.attr):
                return Blob(instance, node.attr)
        if isinstance(node, ast.Name):
            return self.held.get(node.id)
        return None

    def changed_by_target(self, target: ast.expr) -> Blob | None:
        """The field of which a target is a part: `job.progress["done"]`."""
        if isinstance(target, ast.Subscript | ast.Attribute):
            return self._above(target.value)
        return None

    def changed_by_call(self, call: ast.Call) -> Blob | None:
        """The field that a method changes: `job.progress["errors"].append(…)`."""
        if isinstance(call.func, ast.Attribute) and _CHANGES.match(call.func.attr):
            return self._above(call.func.value)
        return None

    def _above(self, node: ast.expr) -> Blob | None:
        while True:
            if (found := self._at(node)) is not None:
                return found
            if isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                node = node.func.value
            else:
                return None

    def assigned(self, target: ast.expr, value: ast.expr) -> Blob | None:
        """The field that a value read from it replaces: `job.progress = {**job.progress, …}`."""
        found = self._at(target) if isinstance(target, ast.Attribute) else None
        if found is None or is_by_database(value):
            return None
        read = self.read_in(value)
        return found if read is not None and read.field == found.field else None

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        """Note what a name holds from now on."""
        for one in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(one, ast.Name):
                read = self.read_in(value)
                self.held.pop(one.id, None)
                self.copies.pop(one.id, None)
                if read is not None:
                    holds = not _copies(value) and self._above_any(value) is not None
                    (self.held if holds else self.copies)[one.id] = read

    def _above_any(self, value: ast.expr) -> Blob | None:
        """The field that a value is a part of; also of `… or {}`, and of `next(s for s in …)`."""
        if isinstance(value, ast.BoolOp):
            return self._above_any(value.values[0])
        if isinstance(value, ast.Call) and last(value.func) in ("next", "enumerate", "reversed"):
            return self.read_in(value.args[0]) if value.args else None
        return self._above(value)


def _copies(value: ast.expr) -> bool:
    return any(
        isinstance(one, ast.Call) and last(one.func) in _COPIES for one in within(value)
    ) or isinstance(value, ast.Dict | ast.List | ast.DictComp | ast.ListComp)


def is_by_database(value: ast.expr) -> bool:
    return any(_names_function(one) for one in within(value))


def _names_function(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _BY_DATABASE.match(last(node.func)) is not None


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that run with a node, the inner ones first."""
    return (one for one in reversed(within(node)) if isinstance(one, ast.Call))
