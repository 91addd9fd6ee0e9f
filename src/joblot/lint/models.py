"""The models of the code that is checked, and what their fields are for.

Read from the classes as they are written: nothing is imported. A model that another file defines
is known if that file is checked, too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from joblot.lint.source import Source

PROGRESS = re.compile(r"^(progress|counts?|counters?|stats|statistics|stages|steps|tall(y|ies))")
_STATUS = re.compile(r"^status$|_status$")
_STATE = re.compile(r"^(state|phase)$|_state$")  # or that of an address, which has no choices
_DONE = re.compile(
    r"^(\w+_)?(done|processed|completed|finished|succeeded|failed|remaining)"
    r"(_(count|items|rows|tasks|images|files|bytes))?$"
    r"|^(progress(_percent)?|percent(age)?(_(done|complete))?)$"
)
_WORKED = re.compile(
    r"(Job|Task|Run|Batch|Import|Export|Execution|Process|Pipeline|Workflow|Sync|Upload|Scan|Crawl)$"
)
# What a program writes: a person's task has none of these.
_OF_PROGRAM = re.compile(
    r"^((celery_)?(task|job|worker)_id|worker|(started|finished|heartbeat)_at|error\w*|attempts?"
    r"|retries)$"
)
_OF_STATE = {"choices", "default"}
_JSON = re.compile(r"(JSONB?|Schema|HStore|Dict)Field$|^StoredJSON$")
_INTEGER = re.compile(r"IntegerField$")
_VERSION = re.compile(r"(\w+_)?(version|revision)$")  # a guard, not a count


@dataclass(slots=True)
class Model:
    name: str
    bases: list[str]
    json: set[str] = field(default_factory=set)
    status: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)

    @property
    def is_worked(self) -> bool:
        """True if its fields or its name say that processes report progress on its rows."""
        progress = any(PROGRESS.match(name) for name in self.json)
        counts = any(_DONE.search(name) for name in self.counters)
        named = bool(_WORKED.search(self.name)) and any(map(_OF_PROGRAM.match, self.fields))
        return bool(self.status) and (progress or counts or named)

    def take(self, other: Model) -> None:
        """Inherit its fields."""
        self.json |= other.json
        self.status |= other.status
        self.counters |= other.counters
        self.texts |= other.texts
        self.fields |= other.fields


@dataclass(slots=True)
class Models:
    """By name. Two models of one name are one here, with the fields of both."""

    by_name: dict[str, Model] = field(default_factory=dict)
    by_variable: dict[str, str] = field(default_factory=dict)
    json: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Models:
        classes = [model for source in sources for model in _classes(source)]
        found = _models_among(classes)
        parsed = {name for source in sources for name in _parsed_as_json(source)}
        for model in found.values():
            model.json |= model.texts & parsed
        names = {_snake(name): name for name in found}
        return cls(found, names, {one for model in found.values() for one in model.json})

    @property
    def names(self) -> set[str]:
        """Of the models, of their fields, and of the variables that are named after them."""
        fields = {one for model in self.by_name.values() for one in model.fields}
        return fields | set(self.by_name) | set(self.by_variable)

    def named(self, name: str | None) -> Model | None:
        return self.by_name.get(name) if name else None

    def of_variable(self, name: str) -> str | None:
        """The model of a variable that is named after it: `export_job`, `self.export_job`."""
        return self.by_variable.get(name.rpartition(".")[2])


def _classes(source: Source) -> Iterator[Model]:
    if source.tree is None:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            yield _read(node)


def _parsed_as_json(source: Source) -> Iterator[str]:
    """Fields whose text is JSON: `json.loads(batch.counts)`."""
    for node in ast.walk(source.tree) if source.tree is not None else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.loads", "loads"):
            yield from (one.attr for one in node.args[:1] if isinstance(one, ast.Attribute))


def _models_among(classes: list[Model]) -> dict[str, Model]:
    """Those that inherit from a model, with the fields of their bases."""
    found: dict[str, Model] = {}
    left = classes
    while True:
        new = [one for one in left if any(_is_model(base, found) for base in one.bases)]
        if not new:
            return found
        left = [one for one in left if one not in new]
        for one in new:
            for base in one.bases:
                if base in found and found[base] is not one:
                    one.take(found[base])
            if one.name in found:
                found[one.name].take(one)
            else:
                found[one.name] = one


def _is_model(base: str, found: dict[str, Model]) -> bool:
    return base in found or (base.endswith("Model") and not base.endswith("ViewModel"))


def _read(node: ast.ClassDef) -> Model:
    model = Model(node.name, [ast.unparse(base).rpartition(".")[2] for base in node.bases])
    for part in node.body:
        for name, kind, options in _field(part):
            model.fields.add(name)
            if _JSON.search(kind):
                model.json.add(name)
            elif _STATUS.search(name) or (_STATE.search(name) and options & _OF_STATE):
                model.status.add(name)
            elif _INTEGER.search(kind) and not _VERSION.match(name):
                model.counters.add(name)
            elif kind == "TextField":
                model.texts.add(name)
    return model


def _field(part: ast.stmt) -> Iterator[tuple[str, str, set[str]]]:
    """Name, kind and options of a field that a statement of a class defines."""
    targets: list[ast.expr] = []
    if isinstance(part, ast.Assign):
        targets = part.targets
    elif isinstance(part, ast.AnnAssign):
        targets = [part.target]
    value = getattr(part, "value", None)
    if isinstance(value, ast.Call):
        kind = ast.unparse(value.func).rpartition(".")[2]
        if kind.endswith("Field") or kind == "StoredJSON":
            options = {keyword.arg for keyword in value.keywords if keyword.arg}
            yield from ((one.id, kind, options) for one in targets if isinstance(one, ast.Name))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
