"""What the names of a function hold: whose model's object, and whether others can change it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import StrEnum

from joblot.lint.models import Models
from joblot.lint.queries import BOTH, GETTERS, MAKERS, Chain, chain_of, is_lock, locked_query
from joblot.lint.units import Unit, last


class Kind(StrEnum):
    """What is written."""

    JSON = "json"
    STATUS = "status"
    COUNTER = "counter"
    EVERYTHING = "everything"


@dataclass(slots=True)
class Change:
    """A field that was changed in memory and is not saved yet."""

    kind: Kind
    field: str
    line: int
    column: int


@dataclass(slots=True)
class Instance:
    """An object, or a query for some. `given` by the caller, who may hold a lock on it."""

    model: str | None
    locked: bool = False
    created: bool = False
    given: bool = False
    is_query: bool = False
    changes: list[Change] = field(default_factory=list)

    @property
    def is_safe(self) -> bool:
        """No other process can change the row meanwhile."""
        return self.locked or self.created


class Instances:
    """By the text of the expression that names them: `job`, `self.job`."""

    def __init__(self, unit: Unit, models: Models) -> None:
        self._unit = unit
        self._models = models
        self._known: dict[str, Instance] = {}
        for argument in unit.arguments:
            self._known[argument.arg] = Instance(self._model_of(argument), given=True)
        if unit.model and not unit.is_model:
            self._known["self.object"] = Instance(unit.model)

    def _model_of(self, argument: ast.arg) -> str | None:
        if argument.arg == "self":
            return self._unit.model if self._unit.is_model else None
        if argument.arg == "instance" and self._unit.model:
            return self._unit.model
        for node in ast.walk(argument.annotation) if argument.annotation else ():
            name = node.value if isinstance(node, ast.Constant) else last(node)  # type: ignore[arg-type]
            if isinstance(name, str) and name in self._models.by_name:
                return name
        return self._models.of_variable(argument.arg)

    def get(self, name: str) -> Instance:
        """What a name holds; by its spelling, if it was not assigned."""
        if name not in self._known:
            self._known[name] = Instance(self._models.of_variable(name), given="." in name)
        return self._known[name]

    def all(self) -> list[Instance]:
        return list(self._known.values())

    def named(self, node: ast.expr) -> Instance | None:
        """The object that a plain name or attribute holds."""
        if isinstance(node, ast.Name | ast.Attribute):
            return self.get(ast.unparse(node))
        return None

    def bind(self, target: ast.expr, value: ast.expr) -> None:
        """Note what is assigned; of `job, created = …get_or_create(…)`, to the first."""
        if isinstance(target, ast.Tuple) and target.elts:
            target = target.elts[0]
        if isinstance(target, ast.Name | ast.Attribute):
            name = ast.unparse(target)
            found = self.made_by(value) or Instance(self._models.of_variable(name))
            if found.model is None and not found.is_query:
                found.model = self._models.of_variable(name)
            self._known[name] = found

    def bind_each(self, target: ast.expr, iterated: ast.expr) -> None:
        """Note what a loop's name holds: `for job in Job.objects.select_for_update()`."""
        if isinstance(target, ast.Name):
            query = self.made_by(iterated)
            found = Instance(self._models.of_variable(target.id))
            if query is not None and query.is_query:
                found = Instance(query.model or found.model, locked=query.locked)
            self._known[target.id] = found

    def made_by(self, value: ast.expr) -> Instance | None:
        if isinstance(value, ast.Await):
            value = value.value
        if isinstance(value, ast.BoolOp):
            return self.made_by(value.values[0])
        if isinstance(value, ast.Name | ast.Attribute):
            return self._known.get(ast.unparse(value))
        if not isinstance(value, ast.Call):
            return None
        name = last(value.func)
        if name in self._models.by_name or (name[:1].isupper() and not name.isupper()):
            model = name if name in self._models.by_name else None
            return Instance(model, created=True)
        if name in ("get_object_or_404", "aget_object_or_404") and value.args:
            return self._or_404(value.args[0])
        chain = chain_of(value)
        return self._from(chain) if chain is not None else None

    def _or_404(self, source: ast.expr) -> Instance:
        query = self.made_by(source)
        model = (query.model if query else None) or last(source)
        locked = locked_query(source) is not None or bool(query and query.locked)
        return Instance(model if self._models.named(model) else None, locked=locked)

    def _from(self, chain: Chain) -> Instance | None:
        """What a chain of methods returns."""
        root = self._known.get(ast.unparse(chain.root))
        model = self.model_of(chain)
        if chain.last == "save":  # of a form or serializer
            return Instance(self._unit.model, created=self._makes)
        if chain.last == "get_object":
            return Instance(self._unit.model)
        locked = chain.locks or bool(root and root.is_query and root.locked)
        if chain.last in MAKERS:
            return Instance(model, created=True)
        if chain.last in GETTERS | BOTH or is_lock(chain.last):
            is_query = chain.last == "select_for_update"
            return Instance(model, locked=locked, is_query=is_query)
        return Instance(model, locked=locked, is_query=True)

    def model_of(self, chain: Chain) -> str | None:
        """The model that a query is for, if it is known."""
        if self._models.named(chain.manager):
            return chain.manager
        if any(name == "get_queryset" for name, _ in chain.calls):
            return self._unit.model
        root = self._known.get(ast.unparse(chain.root))
        return root.model if root is not None and root.is_query else None

    @property
    def _makes(self) -> bool:
        """True in a function that creates what its form describes."""
        owner = self._unit.owner
        bases = [last(base) for base in owner.bases] if owner else []
        return self._unit.name in ("create", "perform_create", "post") or any(
            "Create" in base for base in bases
        )
