"""What the names of a module stand for, by its imports."""

from __future__ import annotations

import ast


def imported(tree: ast.Module) -> dict[str, str]:
    """`{"requests": "requests", "get": "requests.get"}`, also of imports inside of functions."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                first = one.name.partition(".")[0]
                names[one.asname or first] = one.name if one.asname else first
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for one in node.names:
                names[one.asname or one.name] = f"{module}.{one.name}"
    return names
