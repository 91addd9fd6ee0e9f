"""Query chains, `Job.objects.filter(…).first()`: their root, their methods, their conditions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

GETTERS = {"get", "aget", "first", "afirst", "last", "alast", "latest", "earliest"}
MAKERS = {"create", "acreate"}
BOTH = {"get_or_create", "aget_or_create", "update_or_create", "aupdate_or_create"}
UPDATES = {"update", "aupdate"}
MANAGERS = re.compile(r"^(objects|_default_manager|_base_manager|all_objects|\w*_objects|ledger)$")
_LOCK = re.compile(r"(^|_)lock(ed|ing|s)?(_|$)|select_for_update", re.IGNORECASE)
# Which row it is, not how the row is now.
_IDENTITY = re.compile(
    r"^(\w+__)?(pk|id|uuid|guid|slug|key|name|code|token|number|\w+_(id|uuid|key|slug|pk))"
    r"(__(in|exact|iexact))?$"
)


@dataclass(frozen=True, slots=True)
class Chain:
    """`root.method(…).method(…)`; `calls` are the methods in their order, with their arguments."""

    root: ast.expr
    calls: tuple[tuple[str, ast.Call], ...]

    @property
    def last(self) -> str:
        return self.calls[-1][0] if self.calls else ""

    @property
    def manager(self) -> str | None:
        """The name before the manager: the model's, in `Job.objects`."""
        if isinstance(self.root, ast.Attribute) and MANAGERS.match(self.root.attr):
            return ast.unparse(self.root.value).rpartition(".")[2]
        return None

    @property
    def locks(self) -> bool:
        return any(is_lock(name) for name, _ in self.calls)

    def conditions(self) -> Iterator[tuple[str, ast.expr]]:
        """Name and value of each condition, also inside of Q()."""
        for name, call in self.calls:
            if name in ("filter", "exclude", "get"):
                for node in (call, *(n for arg in call.args for n in ast.walk(arg))):
                    if isinstance(node, ast.Call):
                        yield from ((k.arg or "**", k.value) for k in node.keywords)

    @property
    def is_conditional(self) -> bool:
        """True if it asks how the row is now, or may do so."""
        opaque = any(
            not isinstance(arg, ast.Call | ast.BoolOp | ast.BinOp | ast.UnaryOp)
            for name, call in self.calls
            if name in ("filter", "exclude")
            for arg in call.args
        )
        return opaque or any(not _identifies(name, value) for name, value in self.conditions())


def _identifies(name: str, value: ast.expr) -> bool:
    """`pk=pk`, `job_id__in=…`; and `job=job`, the row of a relation."""
    related = isinstance(value, ast.Name) and value.id in (name, "self")
    return related or _IDENTITY.match(name) is not None


def is_lock(name: str) -> bool:
    return _LOCK.search(name) is not None


def chain_of(node: ast.expr) -> Chain | None:
    """The chain that an expression ends, or None if it calls no method."""
    calls: list[tuple[str, ast.Call]] = []
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        calls.append((node.func.attr, node))
        node = node.func.value
    return Chain(node, tuple(reversed(calls))) if calls else None


def locked_query(node: ast.AST) -> ast.Attribute | None:
    """Where it locks rows, if it does; without functions inside of it."""
    for found in within(node):
        called = found.func if isinstance(found, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == "select_for_update":
            return called
    return None


def within(node: ast.AST) -> tuple[ast.AST, ...]:
    """A node and those inside of it that run with it: no lambdas, functions or classes.

    Kept at the node, because every statement is asked for them several times.
    """
    found: tuple[ast.AST, ...] | None = getattr(node, "joblot_within", None)
    if found is None:
        found = (node, *(one for child in ast.iter_child_nodes(node) for one in _runs(child)))
        node.joblot_within = found  # type: ignore[attr-defined]
    return found


def _runs(child: ast.AST) -> tuple[ast.AST, ...]:
    is_other = isinstance(child, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return () if is_other else within(child)
