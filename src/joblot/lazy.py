"""Namespaces whose names are imported when they are first used.

So importing a namespace imports neither Django nor what its names need, and a namespace of the
ledger can be imported before Django is set up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazily(namespace: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a `__getattr__` for the module `namespace`; `homes` maps a module to its names.

    A name must not be that of a submodule of `namespace`: once imported, the submodule hides it.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def resolve(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {namespace!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    return resolve
