"""The files that are checked: found, read, parsed, with the comments that suppress a rule."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from joblot.errors import NotFound

# Not the code that runs beside others: tests, and migrations, which run alone.
_FOLDERS_LEFT_OUT = {"__pycache__", "build", "dist", "migrations", "node_modules", "site-packages"}
_TEST = re.compile(r"^(tests?|conftest|test_.*|.*_tests?)$")
_IGNORE = re.compile(r"#\s*joblot:\s*ignore\[([^\]]*)\]")


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """A file as it was parsed; `error` instead of a tree if that failed, with its line."""

    path: Path
    tree: ast.Module | None
    ignored: dict[int, frozenset[str]] = field(default_factory=dict)
    error: tuple[int, str] | None = None


def sources(paths: Iterable[Path]) -> list[Source]:
    """Every file below `paths`, each once. Raises NotFound."""
    return [read(path) for path in dict.fromkeys(_files(paths))]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from _below(path)
        else:
            raise NotFound(f"{path}: expected a Python file or a folder")


def _below(folder: Path) -> Iterator[Path]:
    """Python files in a stable order; links to folders are not followed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if _is_entered(path):
                yield from _below(path)
        elif path.suffix == ".py" and path.is_file() and not is_test(path):
            yield path


def _is_entered(folder: Path) -> bool:
    left_out = folder.name in _FOLDERS_LEFT_OUT or folder.name[0] == "." or is_test(folder)
    return not (left_out or folder.is_symlink() or (folder / "pyvenv.cfg").exists())


def is_test(path: Path) -> bool:
    return _TEST.match(path.stem) is not None


def read(path: Path) -> Source:
    """The file in its declared encoding."""
    try:
        with tokenize.open(path) as file:
            text = file.read()
        tree = ast.parse(text)
        return Source(path, tree, dict(_ignored(text)))
    except SyntaxError as error:
        return Source(path, None, error=(error.lineno or 1, error.msg))
    except (ValueError, RecursionError) as error:  # not in its encoding; a null byte; too deep
        return Source(path, None, error=(1, str(error)))


def _ignored(text: str) -> Iterator[tuple[int, frozenset[str]]]:
    """The codes that a comment suppresses, by line."""
    if "joblot:" not in text:
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := _IGNORE.search(token.string)):
            codes = (code.strip() for code in found[1].split(","))
            yield token.start[0], frozenset(code for code in codes if code)
