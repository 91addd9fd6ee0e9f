"""What the docs and the examples import from joblot is public, documented and typed."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from tests.meta.reference import maker
from tests.meta.sources import ROOT, python_files

NAMESPACES: list[str] = maker().NAMESPACES
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *(
        page
        for folder in ("tutorials", "how-to", "reference", "explanation", "decisions")
        for page in sorted((ROOT / "docs" / folder).rglob("*.md"))
    ),
    *sorted((ROOT / "examples").rglob("*.md")),
]
EXAMPLES = python_files("examples")
# A block that only shows the shape of something is not Python.
PYTHON = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# Names in text, such as `joblot.maintenance.sweep()`.
DOTTED = re.compile(r"`(?:from )?(joblot(?:\.\w+)+)\b")
# Dotted paths that a project writes into its settings, URLs or conftest.py.
PATHS = {
    "joblot.api.urls",
    "joblot.contrib.antenna",
    "joblot.contrib.antenna.urls",
    "joblot.contrib.celery",
    "joblot.postgresql",
    "joblot.sqlite3",
    "joblot.testing.pytest_plugin",
    "joblot.urls",
    "joblot.web",
}
CHECK = re.compile(r"joblot\.[EW]\d{3}")  # ids of Django's system checks


def blocks(page: Path) -> list[str]:
    found = PYTHON.findall(page.read_text(encoding="utf-8"))
    return [textwrap.dedent(code) for _, code in found]


def private_imports(code: str) -> Iterator[str]:
    """What the code imports from joblot that is not public."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # a signature: the reference shows them without a body
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if _is_private(one.name))
        elif isinstance(node, ast.ImportFrom) and _is_of_joblot(node.module or ""):
            names = [f"{node.module}.{one.name}" for one in node.names]
            yield from (name for name in names if not is_public(name))


def is_public(dotted: str) -> bool:
    """True for a public namespace, and for a name in the `__all__` of one."""
    namespace, _, name = dotted.rpartition(".")
    return dotted in NAMESPACES or (
        namespace in NAMESPACES and name in import_module(namespace).__all__
    )


def _is_of_joblot(module: str) -> bool:
    return module.partition(".")[0] == "joblot"


def _is_private(module: str) -> bool:
    return _is_of_joblot(module) and module not in NAMESPACES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_imports_public_names_only(page: Path) -> None:
    assert [name for code in blocks(page) for name in private_imports(code)] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_example_imports_public_names_only(file: Path) -> None:
    assert list(private_imports(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_mentions_public_names_only(page: Path) -> None:
    names = DOTTED.findall(page.read_text(encoding="utf-8"))
    wrong = [n for n in names if not is_public(n) and n not in PATHS and not CHECK.fullmatch(n)]
    assert wrong == []


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_public_name_exists_and_says_what_it_is_for(namespace: str) -> None:
    module = import_module(namespace)
    assert module.__doc__
    for name in module.__all__:
        documentation = getattr(module, name).__doc__ or ""
        assert documentation, name
        assert not documentation.startswith(f"{name}("), f"{name}: only what @dataclass writes"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_public_function_is_typed(namespace: str) -> None:
    module = import_module(namespace)
    public = {name: inspect.unwrap(getattr(module, name)) for name in module.__all__}
    for name, function in public.items():
        if isinstance(function, FunctionType):
            arguments = inspect.signature(function).parameters
            assert {*arguments, "return"} <= set(function.__annotations__), name


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_name_imported_on_first_use_is_not_that_of_a_submodule(namespace: str) -> None:
    """The submodule would hide it, once it is imported."""
    module = import_module(namespace)
    if hasattr(module, "__path__") and hasattr(module, "__getattr__"):
        modules = {path.stem for path in Path(module.__path__[0]).iterdir()}
        assert modules & set(module.__all__) == set()


LAZY = [
    file for file in python_files("src/joblot") if "= lazily(" in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("file", LAZY, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_name_has_one_home_for_type_checkers_and_at_run_time(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (node.module, one.name)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for one in node.names
    }
    (assigned,) = branch.orelse
    assert isinstance(assigned, ast.Assign)
    assert isinstance(assigned.value, ast.Call)
    homes = ast.literal_eval(assigned.value.args[1])
    assert typed == {(module, name) for module, names in homes.items() for name in names}


def test_a_private_import_is_found() -> None:
    code = """
import joblot.ledger.lease
from joblot import claim, clock
from joblot.ledger.report.report import report
from joblot.worker import handlers, run
"""
    assert list(private_imports(code)) == [
        "joblot.ledger.lease",
        "joblot.clock",
        "joblot.ledger.report.report.report",
        "joblot.worker.handlers",
    ]
    assert not is_public("joblot.ledger.lease.expire")
    assert is_public("joblot.maintenance.expire")
