"""Write docs/reference/python.md, python/*.md and settings.md: `python docs/make_reference.py`.

The names are those in `__all__` of the public namespaces. The code is read and not run, so a
signature looks the same here as there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import joblot

REFERENCE = Path(__file__).parent / "reference"
SOURCE = Path(joblot.__file__).parent
SIGNATURE_CHARS_MAX = 92

# The pages, and the public namespaces on each.
PAGES = {
    "joblot": ["joblot"],
    "maintenance": ["joblot.maintenance"],
    "worker": ["joblot.worker"],
    "webhooks": ["joblot.webhooks"],
    "importing": ["joblot.importing"],
    "redis": ["joblot.contrib.redis"],
    "errors": ["joblot.errors"],
    "states": ["joblot.states"],
    "standalone": ["joblot.standalone"],
    "celery": ["joblot.contrib.celery"],
    "tasks": ["joblot.contrib.tasks"],
    "testing": [
        "joblot.testing",
        "joblot.testing.interleave",
        "joblot.testing.simulator",
        "joblot.testing.certify",
    ],
}
NAMESPACES = [namespace for namespaces in PAGES.values() for namespace in namespaces]

HEAD = """# The Python API

The public names of joblot, by namespace. Import each from the namespace under which it is listed,
for example `from joblot import submit`; all other modules are internal. Policies and limits are in
[settings](settings.md), commands in [the command line](cli.md), the words in the
[glossary](glossary.md).

A test compares these pages with the code; `python docs/make_reference.py` writes them.
"""

SETTINGS = """# Settings

A test compares this page with the code; `python docs/make_reference.py` writes it.

## Policy

A policy belongs to a job: `submit(policy={{…}})`. `settings.JOBLOT["POLICY"]` changes the defaults.

{policy}
## Limits

Limits belong to an installation: `settings.JOBLOT = {{"CLAIM_ITEMS_MAX": 500}}`, in upper or lower
case. An unknown name is refused. The name contains the unit.

{limits}
## Limits of the older fleet's protocol

The same for [that protocol](antenna.md): `settings.JOBLOT_ANTENNA = {{"AHEAD_ITEMS": 480}}`.

{antenna}"""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign


@dataclass(frozen=True)
class Name:
    """A public name, with the module that defines it."""

    name: str
    module: str
    node: Definition

    @property
    def doc(self) -> str:
        if isinstance(self.node, ast.Assign):
            return f"Await `{self.made_of}`, with the same arguments."
        return ast.get_docstring(self.node) or ""

    @property
    def made_of(self) -> str:
        """The function that an assignment wraps, as in `aclaim = _awaited(claim)`."""
        assert isinstance(self.node, ast.Assign)
        assert isinstance(self.node.value, ast.Call)
        return ast.unparse(self.node.value.args[0])


@cache
def source(module: str) -> str:
    path = SOURCE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(source(module))


def exported(namespace: str) -> list[str]:
    """The names in `__all__`."""
    for node in parsed(namespace).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    raise LookupError(f"{namespace} has no __all__")


def public(namespace: str) -> list[Name]:
    """The names of a namespace, in the order in which its module mentions them."""
    homes = dict(_mentioned(namespace))
    names = [name for name in homes if name in exported(namespace)]
    if missing := set(exported(namespace)) - set(names):
        raise LookupError(f"{namespace} names in __all__ what it does not have: {missing}")
    return [definition(homes[name], name) for name in names]


def _mentioned(namespace: str) -> Iterator[tuple[str, str]]:
    """Each name that a module imports or defines, with its home, in their order."""
    for part in parsed(namespace).body:
        if isinstance(part, ast.ImportFrom) and part.module:
            yield from ((alias.name, part.module) for alias in part.names)
        if isinstance(part, Definition) and not isinstance(part, ast.Assign):
            yield part.name, namespace
    for node in ast.walk(parsed(namespace)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazily":
            homes: dict[str, list[str]] = ast.literal_eval(node.args[1])
            yield from ((name, module) for module, names in homes.items() for name in names)


def definition(module: str, name: str) -> Name:
    """The name where it is defined, also if `module` imports it from there."""
    for node in parsed(module).body:
        if isinstance(node, Definition) and _name_of(node) == name:
            return Name(name, module, node)
        if isinstance(node, ast.ImportFrom) and name in [one.name for one in node.names]:
            return definition(str(node.module), name)
    raise LookupError(f"{module} does not define {name}")


def _name_of(node: Definition) -> str:
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else node.name


def first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def one_line(text: str) -> str:
    """The first sentence, for a table."""
    first, end, _ = first_paragraph(text).partition(". ")
    return (first + end).strip().replace("|", "\\|")


def index() -> str:
    return HEAD + "".join(
        part
        for page, namespaces in PAGES.items()
        for one in namespaces
        for part in _table(page, one)
    )


def _table(page: str, namespace: str) -> Iterator[str]:
    about = first_paragraph(ast.get_docstring(parsed(namespace)) or "")
    yield f"\n## [`{namespace}`](python/{page}.md)\n\n{about}\n\n| name | |\n|---|---|\n"
    for one in public(namespace):
        yield f"| [`{one.name}`](python/{page}.md#{anchor(page, namespace, one)}) | "
        yield f"{one_line(one.doc)} |\n"


def anchor(page: str, namespace: str, one: Name) -> str:
    return re.sub(r"[^\w -]", "", title(page, namespace, one).lower()).replace(" ", "-")


def title(page: str, namespace: str, one: Name) -> str:
    """The heading of a name; in a further namespace of a page, with that namespace."""
    is_first = PAGES[page][0] == namespace
    shown = one.name if is_first else f"{namespace.rpartition('.')[2]}.{one.name}"
    return f"class `{shown}`" if isinstance(one.node, ast.ClassDef) else f"`{shown}`"


def page(name: str) -> str:
    first, *others = PAGES[name]
    text = f"# `{first}`\n" + "".join(_section(name, first))
    for namespace in others:
        text += f"\n# `{namespace}`\n" + "".join(_section(name, namespace))
    return text


def _section(page: str, namespace: str) -> Iterator[str]:
    yield f"\n{marked_down(ast.get_docstring(parsed(namespace)) or '')}\n"
    for one in public(namespace):
        yield f"\n## {title(page, namespace, one)}\n"
        yield from _entry(one)


def _entry(one: Name) -> Iterator[str]:
    if isinstance(one.node, ast.Assign):
        yield f"\n{one.doc}\n"
        return
    if isinstance(one.node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield f"\n```python\n{signature(one.node)}\n```\n\n{marked_down(one.doc)}\n"
        return
    bases = [ast.unparse(base) for base in one.node.bases]
    if code := _code(one.node):
        yield f"\nCode `{code}`; a subclass of `{bases[0]}`.\n"
    elif init := _method(one.node, "__init__"):
        yield f"\n```python\n{signature(init, one.name)}\n```\n"
    yield f"\n{marked_down(one.doc)}\n"
    if "StrEnum" in bases or "IntEnum" in bases:
        yield from _members(one)
    elif rows := list(fields(one.module, one.node)):
        is_commented = any(comment for *_, comment in rows)
        more, rule = (" |", "---|") if is_commented else ("", "")
        yield f"\n| field | type | default |{more}\n|---|---|---|{rule}\n"
        for field, kind, default, comment in rows:
            last = f" {comment} |" if is_commented else ""
            yield f"| `{field}` | `{kind}` | {default and f'`{default}`'} |{last}\n"
    if methods := list(_methods(one.node)):
        yield "\n" + "".join(methods)


def marked_down(doc: str) -> str:
    """A docstring as Markdown: paragraphs as they are, indented code in fences."""
    parts = [
        f"```{'' if '─' in part else 'python'}\n{_dedented(part)}\n```"
        if part.startswith("    ")
        else part
        for part in re.split(r"\n\n(?=\S)|\n\n(?=    )(?<!    )", doc)
    ]
    return "\n\n".join(parts).replace("\n```\n\n```python\n", "\n\n")


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


def _code(node: ast.ClassDef) -> str:
    """The stable code of an error, or ""."""
    for part in node.body:
        if isinstance(part, ast.Assign | ast.AnnAssign) and isinstance(part.value, ast.Constant):
            target = part.target if isinstance(part, ast.AnnAssign) else part.targets[0]
            if ast.unparse(target) == "code":
                return str(part.value.value)
    return ""


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    found = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == name)
    return next(found, None)


def _methods(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        doc = isinstance(part, ast.FunctionDef) and ast.get_docstring(part)
        if isinstance(part, ast.FunctionDef) and doc and not part.name.startswith("_"):
            is_property = any(ast.unparse(one) == "property" for one in part.decorator_list)
            shown = part.name if is_property else signature(part, chars_max=10_000)
            yield f"- `{shown}`: {first_paragraph(doc)}\n"


def _members(one: Name) -> Iterator[str]:
    members = [
        (ast.unparse(part.targets[0]), part.value.value, comment_at(one.module, part))
        for part in one.node.body
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant)
    ]
    yield "\n| name | value | |\n|---|---|---|\n"
    yield from (f"| `{name}` | `{value}` | {comment} |\n" for name, value, comment in members)


def fields(module: str, node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and comment of each field of a dataclass."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            kind = ast.unparse(part.annotation).replace("|", "\\|")
            if not part.target.id.startswith("_") and not kind.startswith("ClassVar"):
                yield part.target.id, kind, _default(part.value), comment_at(module, part)


def _default(value: ast.expr | None) -> str:
    """A default, also one that `field()` gives or makes."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        given = {one.arg: ast.unparse(one.value) for one in value.keywords}
        return given.get("default") or {"dict": "{}"}.get(
            given.get("default_factory", ""), f"{given.get('default_factory')}()"
        )
    return ast.unparse(value) if value else ""


def comment_at(module: str, node: ast.stmt) -> str:
    """The comment behind a statement."""
    lines = source(module).splitlines()
    return lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]


def signature(node: ast.FunctionDef, name: str = "", chars_max: int = SIGNATURE_CHARS_MAX) -> str:
    """The signature on one line, or one line per argument; a method's without `self`."""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and not name else ""
    if any(ast.unparse(one) == "contextmanager" for one in node.decorator_list):
        assert isinstance(node.returns, ast.Subscript)  # an iterator of what it yields
        returns = f" -> AbstractContextManager[{ast.unparse(node.returns.slice)}]"
    parts = [part for part in arguments(node.args) if part not in ("self", "cls")]
    flat = f"{name or node.name}({', '.join(parts)}){returns}"
    if len(flat) <= chars_max:
        return flat
    lines = "".join(f"    {part},\n" for part in parts)
    return f"{name or node.name}(\n{lines}){returns}"


def arguments(given: ast.arguments) -> Iterator[str]:
    required = len(given.args) - len(given.defaults)
    defaults = [*[None] * required, *given.defaults]
    yield from map(argument, given.args, defaults)
    if given.vararg:
        yield f"*{argument(given.vararg, None)}"
    elif given.kwonlyargs:
        yield "*"
    yield from map(argument, given.kwonlyargs, given.kw_defaults)


def argument(given: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(given.annotation)}" if given.annotation else ""
    equals = " = " if kind else "="
    return f"{given.arg}{kind}" + (f"{equals}{ast.unparse(default)}" if default else "")


def settings() -> str:
    return SETTINGS.format(
        policy=_limits("joblot.policy", "Policy"),
        limits=_limits("joblot.config", "Limits"),
        antenna=_limits("joblot.contrib.antenna.limits", "AntennaLimits"),
    )


def _limits(module: str, name: str) -> str:
    """A table of a class of limits, with the comments beside its fields."""
    node = definition(module, name).node
    assert isinstance(node, ast.ClassDef)
    rows = [
        f"| `{field}` | {_number(default)} | {comment} |\n"
        for field, _, default, comment in fields(module, node)
    ]
    return "| name | default | |\n|---|---|---|\n" + "".join(rows)


def _number(default: str) -> str:
    return f"{int(default):,}" if re.fullmatch(r"\d+", default) else default


def pages() -> dict[Path, str]:
    """The text of every page."""
    each = {REFERENCE / f"python/{name}.md": page(name) for name in PAGES}
    return {REFERENCE / "python.md": index(), REFERENCE / "settings.md": settings(), **each}


if __name__ == "__main__":
    (REFERENCE / "python").mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
