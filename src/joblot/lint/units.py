"""The functions of the code that is checked, and what each is: a task, a receiver, a view."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from joblot.lint.models import Models
from joblot.lint.queries import MANAGERS, within
from joblot.lint.source import Source

Function = ast.FunctionDef | ast.AsyncFunctionDef

_TASK = {"actor", "db_periodic_task", "db_task", "job", "periodic_task", "shared_task", "task"}


@dataclass(frozen=True, eq=False, slots=True)
class Unit:
    """A function or method. `model` is that of `self`, of the view's queryset, or of the sender."""

    source: Source
    node: Function
    owner: ast.ClassDef | None = None
    is_task: bool = False
    is_receiver: bool = False
    model: str | None = None
    is_model: bool = False  # a method of a model: `self` is an instance

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def in_background(self) -> bool:
        return self.is_task or self.is_receiver

    @property
    def arguments(self) -> list[ast.arg]:
        given = self.node.args
        return [*given.posonlyargs, *given.args, *given.kwonlyargs]


@dataclass(slots=True)
class Units:
    """All functions, and the names of those that are connected to a signal by a call."""

    all: list[Unit] = field(default_factory=list)

    @classmethod
    def of(cls, sources: Iterable[Source], models: Models) -> Units:
        given = [source for source in sources if source.tree is not None]
        connected = {name for source in given for name in _connected(source)}
        found = cls()
        for source in given:
            assert source.tree is not None
            for node, owner in _functions(source.tree, None):
                found.all.append(_unit(source, node, owner, connected, models))
        return found


def _functions(
    node: ast.AST, owner: ast.ClassDef | None
) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child, owner
            yield from _functions(child, None)
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, child)
        else:
            yield from _functions(child, owner)


def _connected(source: Source) -> Iterator[str]:
    """`post_save.connect(notify)`."""
    assert source.tree is not None
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and last(node.func) == "connect":
            yield from (one.id for one in node.args[:1] if isinstance(one, ast.Name))


def _unit(
    source: Source,
    node: Function,
    owner: ast.ClassDef | None,
    connected: set[str],
    models: Models,
) -> Unit:
    names = {last(_called(one)) for one in node.decorator_list}
    is_receiver = bool(names & {"receiver", "connect"}) or (
        owner is None and node.name in connected
    )
    model, is_model = _model(node, owner, models)
    is_task = bool(names & _TASK) or (
        owner is not None and node.name == "run" and any("Task" in last(b) for b in owner.bases)
    )
    return Unit(source, node, owner, is_task, is_receiver, model, is_model)


def _model(node: Function, owner: ast.ClassDef | None, models: Models) -> tuple[str | None, bool]:
    if owner is None:
        return _sender(node), False
    if owner.name in models.by_name:
        return owner.name, True
    return _served(owner), False


def _sender(node: Function) -> str | None:
    """`@receiver(post_save, sender=Job)`."""
    for one in node.decorator_list:
        if isinstance(one, ast.Call):
            for keyword in one.keywords:
                if keyword.arg == "sender":
                    return last(keyword.value)
    return None


def _served(owner: ast.ClassDef) -> str | None:
    """The model of a class-based view: `model = Job`, or `queryset = Job.objects.all()`."""
    for part in owner.body:
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
            if part.targets[0].id == "model":
                return last(part.value)
            if part.targets[0].id == "queryset":
                return managed(part.value)
        if isinstance(part, ast.FunctionDef) and part.name == "get_queryset":
            return managed(part)
    return None


def managed(node: ast.AST) -> str | None:
    """The model of the first manager in it."""
    for one in within(node):
        if isinstance(one, ast.Attribute) and MANAGERS.match(one.attr):
            return last(one.value)
    return None


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def last(node: ast.expr) -> str:
    """The last part of a name: `task` of `app.task`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
