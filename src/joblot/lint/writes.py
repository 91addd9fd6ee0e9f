"""Walk a function in the order of its statements, and note what it writes without protection."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from joblot.lint.blobs import Blob, Blobs, calls_in, is_by_database
from joblot.lint.facts import Facts, Write
from joblot.lint.instances import Change, Instance, Instances, Kind
from joblot.lint.models import PROGRESS, Models
from joblot.lint.queries import UPDATES, Chain, chain_of, is_lock, locked_query, within
from joblot.lint.units import Unit, last

_SAVES = {"save", "asave"}
_BULK = {"bulk_update", "abulk_update"}
_QUERIES = {"filter", "exclude", "all", "get_queryset", "order_by", "select_for_update"}


def facts_of(units: Iterable[Unit], models: Models) -> Facts:
    """Walk all functions twice: the second time with the changes that the first has found."""
    names = _SAVES | UPDATES | _BULK | models.names
    units = [unit for unit in units if _concerns(unit, names)]
    first = Facts()
    for unit in units:
        _Walk(unit, models, first, {}).run()
    facts = Facts()
    for unit in units:
        _Walk(unit, models, facts, first.changers).run()
    return facts


def _concerns(unit: Unit, names: set[str]) -> bool:
    """True if a function mentions a model, a field of one, or a way to save; most do not."""
    for node in ast.walk(unit.node):
        name = (
            getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "arg", None)
        )
        if isinstance(name, str) and (name in names or PROGRESS.match(name)):
            return True
    return False


class _Walk:
    def __init__(
        self, unit: Unit, models: Models, facts: Facts, changers: dict[str, list[Change]]
    ) -> None:
        self.unit, self.models, self.facts, self.changers = unit, models, facts, changers
        self.instances = Instances(unit, models)
        self.blobs = Blobs(self._is_json)
        self.locks = 0  # `with` blocks of locks that are not rows
        self.atomic = 0
        self.has_row_lock = False

    def run(self) -> None:
        self._body(self.unit.node.body)
        given = [a.arg for a in self.unit.arguments][:1]
        left = [change for name in given for change in self.instances.get(name).changes]
        if left:
            self.facts.changers[self.unit.name] = left

    def _is_json(self, name: str, attribute: str) -> bool:
        model = self.models.named(self.instances.get(name).model)
        if model is not None:
            return attribute in model.json
        if name == "self" or not name.isidentifier():
            return False
        return attribute in self.models.json or (
            not self.models.by_name and PROGRESS.match(attribute) is not None
        )

    def _body(self, statements: Iterable[ast.stmt]) -> None:
        for one in statements:
            self._statement(one)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return
            case ast.With() | ast.AsyncWith():
                self._with(node)
            case ast.For() | ast.AsyncFor():
                self._expression(node.iter)
                self.instances.bind_each(node.target, node.iter)
                self.blobs.bind(node.target, node.iter)
                if (read := self.blobs.read_in(node.iter)) and isinstance(node.target, ast.Name):
                    self.blobs.held[node.target.id] = read
                self._body([*node.body, *node.orelse])
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.Delete():
                self._assign(node)
            case _:
                self._other(node)

    def _other(self, node: ast.stmt) -> None:
        """The expressions of a statement, then the statements inside of it."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._expression(child)
            elif isinstance(child, ast.stmt):
                self._statement(child)
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                self._body(child.body)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        texts = [item.context_expr for item in node.items]
        locks = sum(_is_of_lock(one) for one in texts)
        atomic = sum(last(_function(one)) == "atomic" for one in texts)
        for item in node.items:
            self._expression(item.context_expr)
            if item.optional_vars is not None:
                self.instances.bind(item.optional_vars, item.context_expr)
        self.locks += locks
        self.atomic += atomic
        self._body(node.body)
        self.locks -= locks
        self.atomic -= atomic
        if atomic and not self.atomic:  # the locks end with the transaction
            self.has_row_lock = False
            for one in self.instances.all():
                one.locked = False

    def _assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Delete) -> None:
        value = getattr(node, "value", None)
        targets = getattr(node, "targets", None) or [node.target]  # type: ignore[union-attr]
        if value is not None:
            self._expression(value)
        for target in targets:
            self._target(target, value, adds=isinstance(node, ast.AugAssign))
            if value is not None and not isinstance(node, ast.AugAssign):
                self.blobs.bind(target, value)
                if isinstance(target, ast.Name | ast.Tuple) or self.instances.made_by(value):
                    self.instances.bind(target, value)

    def _target(self, target: ast.expr, value: ast.expr | None, *, adds: bool) -> None:
        changed = self.blobs.changed_by_target(target)
        if changed is None and value is not None:
            changed = self.blobs.assigned(target, value)
        if changed is not None:
            self._change(changed.instance, Kind.JSON, changed.field, target)
        elif isinstance(target, ast.Attribute) and isinstance(
            target.value, ast.Name | ast.Attribute
        ):
            self._scalar(target, value, adds=adds)

    def _scalar(self, target: ast.Attribute, value: ast.expr | None, *, adds: bool) -> None:
        name = ast.unparse(target.value)
        if target.attr in ("pk", "id") and isinstance(value, ast.Constant) and value.value is None:
            self.instances.get(name).created = True  # its next save inserts a copy
        model = self.models.named(self.instances.get(name).model)
        if model is None or value is None or is_by_database(value):
            return
        if target.attr in model.status:
            self._change(name, Kind.STATUS, target.attr, target)
        elif target.attr in model.counters:
            text = ast.unparse(target)
            if adds or any(
                isinstance(one, ast.Attribute) and ast.unparse(one) == text for one in within(value)
            ):
                self._change(name, Kind.COUNTER, target.attr, target)

    def _change(self, name: str, kind: Kind, attribute: str, at: ast.expr) -> None:
        change = Change(kind, attribute, at.lineno, at.col_offset)
        self.instances.get(name).changes.append(change)

    def _expression(self, node: ast.expr) -> None:
        for call in calls_in(node):
            self._call(call)
        if locked_query(node) is not None:
            self.has_row_lock = True
        for one in within(node):
            if isinstance(one, ast.NamedExpr):
                self.instances.bind(one.target, one.value)

    def _call(self, call: ast.Call) -> None:
        name = last(call.func)
        base = call.func.value if isinstance(call.func, ast.Attribute) else None
        instance = self.instances.named(base) if base is not None else None
        self._note_call(call, name, instance)
        if name in _SAVES and base is not None and instance is not None:
            self._save(call, ast.unparse(base), instance)
        elif name == "refresh_from_db" and instance is not None:
            instance.changes.clear()
            instance.locked = instance.locked or self.has_row_lock or _locks(call)
        elif changed := self.blobs.changed_by_call(call):
            self._change(changed.instance, Kind.JSON, changed.field, call)
        elif (chain := chain_of(call)) is not None:
            self._query(call, chain)

    def _note_call(self, call: ast.Call, name: str, instance: Instance | None) -> None:
        """Whether what a function is given is safe, and what it leaves to be saved."""
        given = [instance] if instance is not None and instance.model else []
        given += [one for arg in call.args if (one := self.instances.named(arg)) and one.model]
        if given:
            self.facts.calls[name].append(any(one.is_safe for one in given) or self.locks > 0)
            if name not in _SAVES and name not in UPDATES:
                for change in self.changers.get(name, ()):
                    at = Change(change.kind, change.field, call.lineno, call.col_offset)
                    given[0].changes.append(at)

    def _save(self, call: ast.Call, name: str, instance: Instance) -> None:
        if name == "self" and self.unit.name in ("save", "asave", "delete"):
            return  # what the class does whenever it is saved
        model = instance.model
        if model is not None and self.unit.in_background:
            self.facts.saved_in_background.add(model)
        fields = _fields_saved(call)
        saved = [one for one in instance.changes if fields is None or one.field in fields]
        instance.changes = [one for one in instance.changes if one not in saved]
        if instance.is_safe or self.locks:
            return
        for one in saved:
            self._write(one, call, model, given=instance.given)
        if _is_full(call) and (not saved or self.unit.is_receiver):
            everything = Change(Kind.EVERYTHING, name, call.lineno, call.col_offset)
            self._write(everything, call, model, given=instance.given)

    def _write(
        self, one: Change, call: ast.expr, model: str | None, *, given: bool, by_query: bool = False
    ) -> None:
        place = (one.line, one.column, call.lineno)
        found = Write(self.unit, one.kind, model, one.field, *place, given, by_query)
        self.facts.writes.append(found)

    def _query(self, call: ast.Call, chain: Chain) -> None:
        methods = {name for name, _ in chain.calls[:-1]}
        model = self.models.named(self.instances.model_of(chain))
        if chain.last in UPDATES and (chain.manager or methods & _QUERIES):
            if model is not None and self.unit.in_background:
                self.facts.saved_in_background.add(model.name)
            if not (chain.is_conditional or chain.locks or self.locks) and any(chain.conditions()):
                self._update(call, model.name if model else None)
        elif chain.last in _BULK and model and len(call.args) > 1:
            named = _literals(call.args[1]) & model.status
            if named and not (self.has_row_lock or self.locks):
                change = Change(Kind.STATUS, min(named), call.lineno, call.col_offset)
                self._write(change, call, model.name, given=False, by_query=True)

    def _update(self, call: ast.Call, name: str | None) -> None:
        """`filter(pk=…).update(…)`, without a condition on how the row is."""
        model = self.models.named(name)
        for keyword in call.keywords:
            kind = None
            if model is not None and keyword.arg in model.status:
                kind = Kind.STATUS if not is_by_database(keyword.value) else None
            elif (model is None or keyword.arg in model.json) and self._replaces(keyword):
                kind = Kind.JSON
            if kind is not None and keyword.arg is not None:
                at = Change(kind, keyword.arg, keyword.value.lineno, keyword.value.col_offset)
                self._write(at, call, name, given=False, by_query=True)

    def _replaces(self, keyword: ast.keyword) -> bool:
        read: Blob | None = self.blobs.read_in(keyword.value)
        same = read is not None and read.field == keyword.arg
        return same and not is_by_database(keyword.value)


def _function(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _is_of_lock(node: ast.expr) -> bool:
    """`with cache.lock(…)`, `with advisory_lock(…)`."""
    return any(is_lock(last(one)) for one in within(node) if isinstance(one, ast.expr))


def _locks(call: ast.Call) -> bool:
    return any(locked_query(keyword.value) is not None for keyword in call.keywords)


def _is_full(call: ast.Call) -> bool:
    return not call.args and not any(
        one.arg in (None, "update_fields", "force_insert") for one in call.keywords
    )


def _fields_saved(call: ast.Call) -> set[str] | None:
    """The named fields; None for all, and for those that can't be read from the code."""
    for one in call.keywords:
        if one.arg == "update_fields" and isinstance(one.value, ast.List | ast.Tuple | ast.Set):
            return _literals(one.value)
    return None


def _literals(node: ast.expr) -> set[str]:
    return {
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }
