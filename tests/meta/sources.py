"""The repository's own files, for the meta tests."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def repository_files() -> list[Path]:
    """All files that are tracked or could be, without those excluded by .gitignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    return [path for name in sorted(set(listed)) if (path := ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    roots = [ROOT / folder for folder in folders]
    return [
        path
        for path in repository_files()
        if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots)
    ]


@dataclass(frozen=True)
class Function:
    name: str
    lines: int


def functions(path: Path) -> Iterator[Function]:
    """Each function of a file, named as `tests/x.py::Class.method`, with its length."""
    yield from _inside(ast.parse(path.read_text(encoding="utf-8")), f"{path.relative_to(ROOT)}::")


def _inside(node: ast.AST, prefix: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            end = child.end_lineno or child.lineno
            yield Function(f"{prefix}{child.name}", end - child.lineno + 1)
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _inside(child, f"{prefix}{child.name}." if named else prefix)  # type: ignore[attr-defined]
