"""Calls over the network while a row is locked: in a function, or in one that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from joblot.lint.imports import imported
from joblot.lint.queries import locked_query, within
from joblot.lint.source import Source
from joblot.lint.units import Function, Unit, last

_MODULES = (
    "aiohttp",
    "azure",
    "boto3",
    "botocore",
    "django.core.mail",
    "django_redis",
    "elasticsearch",
    "ftplib",
    "google.cloud",
    "grpc",
    "httpx",
    "minio",
    "nats",
    "paramiko",
    "pika",
    "redis",
    "requests",
    "slack_sdk",
    "smtplib",
    "socket.create_connection",
    "socket.getaddrinfo",
    "stripe",
    "urllib.request",
    "urllib3",
)
# They make an object that will use the network, and don't use it yet.
_MAKES = {"client", "from_url", "get_redis_connection", "resource", "session"}
# Of any object: a task's, a result's, an application's.
_OF_CELERY = {"apply_async", "delay", "send_task"}


@dataclass(frozen=True, slots=True)
class UnderLock:
    """A call at a line, the call over the network that it is or leads to, and the lock's line."""

    unit: Unit
    line: int
    column: int
    called: str
    locked: int


@dataclass(slots=True)
class Network:
    """Which functions use the network, by themselves or through others of the checked code."""

    names: dict[Source, dict[str, str]] = field(default_factory=dict)
    objects: dict[Source, set[str]] = field(default_factory=dict)
    calls: dict[Unit, list[ast.Call]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)  # a function's name: what it calls
    defined: dict[Source, set[str]] = field(default_factory=dict)
    celery_waits: bool = False  # the project's tasks send nothing before the commit

    @classmethod
    def of(cls, units: Iterable[Unit]) -> Network:
        units = list(units)
        found = cls()
        for source in {unit.source.path: unit.source for unit in units}.values():
            assert source.tree is not None
            found.names[source] = imported(source.tree)
            found.defined[source] = _functions_of(source.tree)
            found.objects[source] = set(found._made_in(source))
        found.celery_waits = any(_sends_after_the_commit(unit) for unit in units)
        named: dict[str, int] = {}
        for unit in units:
            named[unit.name] = named.get(unit.name, 0) + 1
        # Two functions of one name can't be distinguished, so neither is followed.
        only = [unit for unit in units if named[unit.name] == 1 and unit.name not in _COMMON]
        found.calls = {unit: list(_calls(unit.node)) for unit in only}
        while sum(map(found._learn, only)):
            continue  # until a round finds no more
        return found

    def _made_in(self, source: Source) -> Iterator[str]:
        """The names of objects that use the network: `client = httpx.Client()`."""
        assert source.tree is not None
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Assign) and self._makes(node.value, source):
                yield from (ast.unparse(one) for one in node.targets)
            elif isinstance(node, ast.withitem) and self._makes(node.context_expr, source):
                yield from [ast.unparse(node.optional_vars)] if node.optional_vars else []

    def _makes(self, value: ast.expr, source: Source) -> bool:
        if not isinstance(value, ast.Call) or not self._is_of_network(value.func, source):
            return False
        return last(value.func)[:1].isupper() or last(value.func) in _MAKES

    def _is_of_network(self, function: ast.expr, source: Source) -> bool:
        begin, dot, rest = ast.unparse(function).partition(".")
        dotted = f"{self.names[source].get(begin, '')}{dot}{rest}."
        return ".utils." not in dotted and dotted.startswith(tuple(f"{one}." for one in _MODULES))

    def _learn(self, unit: Unit) -> bool:
        """True if this function is new among those that use the network."""
        if unit.name in self.users:
            return False
        for call in self.calls[unit]:
            if (what := self.used_by(call, unit)) is not None:
                self.users[unit.name] = what
                return True
        return False

    def used_by(self, call: ast.Call, unit: Unit) -> str | None:
        """What a call does over the network: its own text, or that of one it leads to."""
        if self._is_direct(call, unit.source):
            return ast.unparse(call.func)
        name = last(call.func)
        return self.users.get(name) if name != unit.name and self._is_own(call, unit) else None

    def _is_own(self, call: ast.Call, unit: Unit) -> bool:
        """True for a function of the file or of an import, and for a method of the same class."""
        function, imports = call.func, self.names[unit.source]
        if isinstance(function, ast.Name):
            return function.id in imports or function.id in self.defined[unit.source]
        if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
            return False
        if function.value.id == "self" and unit.owner is not None:
            return function.attr in _functions_of(unit.owner)
        return function.value.id in imports

    def _is_direct(self, call: ast.Call, source: Source) -> bool:
        function = call.func
        if isinstance(function, ast.Attribute):
            if function.attr in _OF_CELERY and not self.celery_waits:
                return True
            if function.attr == "revoke" and "AsyncResult" in ast.unparse(function.value):
                return True
            if ast.unparse(function).endswith("control.revoke"):
                return True
            if ast.unparse(function.value) in self.objects[source]:
                return True
        return self._is_of_network(function, source) and not self._makes(call, source)


# Methods of Django's own; one defined in the checked code says nothing about the others.
_COMMON = {"all", "create", "delete", "filter", "get", "run", "save", "update"}


def _functions_of(node: ast.Module | ast.ClassDef) -> set[str]:
    return {one.name for one in node.body if isinstance(one, Function)}


def _sends_after_the_commit(unit: Unit) -> bool:
    """A task class whose `apply_async` or `delay` calls `on_commit`."""
    return unit.name in _OF_CELERY and any(
        isinstance(one, ast.Call) and last(one.func) == "on_commit" for one in ast.walk(unit.node)
    )


def under_locks(units: Iterable[Unit]) -> Iterator[UnderLock]:
    """Every call over the network that a function makes while it has locked a row."""
    units = list(units)
    locking = [unit for unit in units if any(locked_query(one) for one in unit.node.body)]
    network = Network.of(units) if locking else Network()
    for unit in locking:
        yield from _Block(unit, network).found()


class _Block:
    """Walks a function; remembers where a row was locked, until its transaction ends."""

    def __init__(self, unit: Unit, network: Network) -> None:
        self.unit, self.network = unit, network
        self.locked: int | None = None

    def found(self) -> Iterator[UnderLock]:
        yield from self._body(self.unit.node.body)

    def _body(self, statements: Iterable[ast.stmt]) -> Iterator[UnderLock]:
        for one in statements:
            yield from self._statement(one)

    def _statement(self, node: ast.AST) -> Iterator[UnderLock]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        before = self.locked
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from self._expression(child)
            elif isinstance(child, ast.withitem):
                yield from self._expression(child.context_expr)
            else:
                yield from self._statement(child)
        is_block = isinstance(node, ast.With | ast.AsyncWith) and any(
            last(one.context_expr.func) == "atomic"
            for one in node.items
            if isinstance(one.context_expr, ast.Call)
        )
        if is_block:
            self.locked = before

    def _expression(self, node: ast.expr) -> Iterator[UnderLock]:
        for call in _calls(node):
            what = self.network.used_by(call, self.unit)
            if what is not None and self.locked is not None:
                yield UnderLock(self.unit, call.lineno, call.col_offset, what, self.locked)
        if (query := locked_query(node)) is not None:
            self.locked = query.lineno


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that run with a node; not what is left for after the commit."""
    for one in _running(node):
        if isinstance(one, ast.Call):
            yield one


def _running(node: ast.AST) -> Iterator[ast.AST]:
    for child in [node] if isinstance(node, ast.expr) else ast.iter_child_nodes(node):
        for one in within(child):
            if isinstance(one, ast.Call) and last(one.func) == "on_commit":
                continue
            yield one
