"""The program that writes the reference, which lists the public namespaces."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from types import ModuleType

from tests.meta.sources import ROOT


@cache
def maker() -> ModuleType:
    """The module docs/make_reference.py."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs/make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks its module up
    spec.loader.exec_module(module)
    return module
