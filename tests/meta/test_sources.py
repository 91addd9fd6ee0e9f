"""Rules for every file of the repository."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.meta.sources import ROOT, functions, python_files, repository_files

FILE_LINES_MAX = 400
SOURCE_LINES_MAX = 300  # of a file in src/
FUNCTION_LINES_MAX = 60

# A place (file or file::function) and why it may be longer. Unneeded entries fail the test.
LONGER_FOR_A_REASON: dict[str, str] = {
    "src/joblot/migrations/0001_initial.py": "it creates every table",
    "tests/ledger/test_model.py": "the rules of one state machine are in one class",
}

# Split in two, so that this file does not name them.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "deb.debian" + ".org",
    "proxy.golang" + ".org",
]
INDEX_OPTION = re.compile(r"(?:index-url|index_url|find-links|find_links)[ =:]+\S*(?:://|^/)")

SQL_HEADER = ("-- purpose: ", "-- guard: ", "-- locks: ")

# Also `joblot` itself, since importing any of the others imports it.
WITHOUT_DJANGO = [
    "joblot",
    "joblot.errors",
    "joblot.maintenance",
    "joblot.states",
    "joblot.testing",
    "joblot.testing.certify",
    "joblot.webhooks",
    "joblot.webhooks.receiver",
    "joblot.wire",
    "joblot.worker",
]


def _exists(module: str) -> bool:
    path = ROOT / "src" / module.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_no_file_names_a_package_registry():
    found = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in REGISTRY_HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {hit}" for hit in INDEX_OPTION.findall(text)]
    assert found == []


def test_files_and_functions_are_short():
    longer = {}
    for path in python_files("src", "tests", "bench"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > (SOURCE_LINES_MAX if path.is_relative_to(ROOT / "src") else FILE_LINES_MAX):
            longer[str(path.relative_to(ROOT))] = lines
        longer |= {f.name: f.lines for f in functions(path) if f.lines > FUNCTION_LINES_MAX}
    unexplained = {
        place: lines for place, lines in longer.items() if place not in LONGER_FOR_A_REASON
    }
    assert unexplained == {}, "split them: they usually contain a second noun"
    assert set(LONGER_FOR_A_REASON) <= set(longer), "these are short enough now"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "src/joblot").rglob("*.sql")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_statement_states_its_purpose_guard_and_locks(path):
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:2] == "--"]
    for start in SQL_HEADER:
        matching = [line for line in header if line.startswith(start) and len(line) > len(start)]
        assert len(matching) == 1, (
            f"{path.name} needs one header line {start!r}, has {len(matching)}"
        )


@pytest.mark.parametrize("module", [name for name in WITHOUT_DJANGO if _exists(name)])
def test_a_module_for_workers_imports_without_django(module):
    code = f"import sys, {module}; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
