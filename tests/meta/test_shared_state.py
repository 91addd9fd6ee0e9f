"""Everything that the threads of a process share has a comment that says why that is safe.

The test finds the mutable objects of modules and classes: containers, caches, counters, and names
that a `global` statement rebinds. A container that its module never changes is a constant, with a
constant's name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.meta.sources import ROOT, python_files

MAKERS = {
    "Counter",
    "OrderedDict",
    "WeakKeyDictionary",
    "WeakSet",
    "WeakValueDictionary",
    "bytearray",
    "count",
    "cycle",
    "defaultdict",
    "deque",
    "dict",
    "list",
    "local",
    "set",
}
LITERALS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
CACHES = {"cache", "lru_cache", "cached_property"}
CHANGES = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "popleft",
    "remove",
    "setdefault",
    "update",
}
# Read only by Django when it starts.
OF_DJANGO = {"constraints", "dependencies", "indexes", "operations", "urlpatterns"}
SAYS = "Threads: "


def called(node: ast.expr) -> str:
    """The last part of the name that is called, or used as a decorator."""
    function = node.func if isinstance(node, ast.Call) else node
    if isinstance(function, ast.Subscript):  # dict[str, int]()
        function = function.value
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, LITERALS):
        return True
    return isinstance(value, ast.Call) and called(value) in MAKERS


def changed_names(tree: ast.Module) -> set[str]:
    """Names whose objects are changed somewhere in the module, or that are rebound."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(node.names)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(ast.unparse(node.value))
        elif isinstance(node, ast.Call) and called(node) in CHANGES:
            names.add(ast.unparse(node.func).rpartition(".")[0])
    return names


def bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None, int]]:
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), node.value, node.lineno
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target), node.value, node.lineno


def shared(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The name and line of each mutable object that threads share."""
    changed = changed_names(tree)
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    for body in bodies:
        for name, value, line in bindings(body):
            is_constant = name.isupper() and name not in changed
            is_rebound = body is tree.body and name in changed
            is_plain = name in OF_DJANGO or name.startswith("__")
            if not is_plain and (is_rebound or (is_mutable(value) and not is_constant)):
                yield name, line
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and CACHES & set(map(called, node.decorator_list)):
            yield node.name, min(one.lineno for one in node.decorator_list)


def says_why(lines: list[str], line: int) -> bool:
    """True if the line, or the comment right above it, says why."""
    if SAYS in lines[line - 1]:
        return True
    above = line - 2
    while above >= 0 and lines[above].lstrip().startswith("#"):
        if SAYS in lines[above]:
            return True
        above -= 1
    return False


def silent(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    return [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for name, line in shared(ast.parse(text))
        if not says_why(lines, line)
    ]


def test_what_threads_share_says_why_that_is_safe() -> None:
    found = [one for path in python_files("src/joblot") for one in silent(path)]
    assert found == [], f"say it in a comment that begins with {SAYS!r}, or share nothing"


def test_each_kind_is_found() -> None:
    source = """
CONSTANT = {"a": 1}
_CHANGED: dict[str, int] = {}
known = []
_limits = None

class A:
    members = set()

@cache
def slow(): ...

def change():
    global _limits
    _CHANGED["a"] = 1
"""
    found = {name for name, _ in shared(ast.parse(source))}
    assert found == {"_CHANGED", "known", "_limits", "members", "slow"}
