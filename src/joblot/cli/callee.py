"""A reference to a function by which another process finds it: by name or by value."""

from __future__ import annotations

import base64
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from joblot.errors import InvalidInput
from joblot.places import absolute
from joblot.worker.causes import shown
from joblot.worker.function import load

MAIN = "__main__"
LOADED_MAIN = "__joblot_main__"
HOW = (
    "joblot.map: worker processes can't import {label}: define it at the top of a module or of a "
    "script, or install cloudpickle"
)
# Threads: set by the main thread of a worker process, before it starts others.
_loading_main = False


@dataclass(frozen=True, slots=True)
class Callee:
    """`label` is for people. The function is at `module:name`, or in the script `main`, or it is
    `pickled`, in base64.
    """

    label: str
    function: str = ""
    main: str = ""
    pickled: str = ""

    @classmethod
    def of(cls, function: Callable[..., Any] | str) -> Callee:
        """Raises InvalidInput if no other process could call it."""
        if isinstance(function, str):
            return cls(function, function)
        module = getattr(function, "__module__", None) or ""
        name = getattr(function, "__qualname__", None) or type(function).__name__
        label = f"{module}:{name}"
        if _found(sys.modules.get(module), name) is not function:
            return cls(label, pickled=_pickled(function, label))
        if module != MAIN:
            return cls(label, label)
        main = sys.modules[MAIN]
        if (spec := getattr(main, "__spec__", None)) is not None:  # python -m package.module
            return cls(f"{spec.name}:{name}", f"{spec.name}:{name}")
        file = getattr(main, "__file__", None)
        if file is None or not Path(file).is_file():  # typed in, or a cell of a notebook
            return cls(label, pickled=_pickled(function, label))
        return cls(
            f"{Path(file).stem}:{name}", f"{LOADED_MAIN}:{name}", main=str(absolute(Path(file)))
        )

    def fields(self) -> Mapping[str, str]:
        return {"function": self.function, "main": self.main, "pickled": self.pickled}


def loaded(function: str, main: str, pickled: str) -> Callable[..., Any]:
    """In the worker process. Raises InvalidInput."""
    if pickled:
        return _unpickled(pickled)
    if main:
        _load_main(main)
    return load(function)


def is_loading_main() -> bool:
    """True while a worker process imports the script whose function it calls."""
    return _loading_main


def _found(module: ModuleType | None, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _pickled(function: Callable[..., Any], label: str) -> str:
    try:
        cloudpickle = importlib.import_module("cloudpickle")
    except ImportError:
        raise InvalidInput(HOW.format(label=label)) from None
    try:
        return base64.b64encode(cloudpickle.dumps(function)).decode()
    except Exception as error:
        raise InvalidInput(f"joblot.map: {label} can't be pickled: {shown(error)}") from error


def _unpickled(text: str) -> Callable[..., Any]:
    try:
        cloudpickle = importlib.import_module("cloudpickle")
        return cloudpickle.loads(base64.b64decode(text))  # type: ignore[no-any-return]
    except Exception as error:
        raise InvalidInput(f"function: it can't be unpickled: {shown(error)}") from error


def _load_main(path: str) -> None:
    """Run the script as a module, so that what is under `if __name__ == "__main__"` is not."""
    global _loading_main  # noqa: PLW0603 (read while the script runs)
    loader = SourceFileLoader(LOADED_MAIN, path)
    spec = importlib.util.spec_from_file_location(LOADED_MAIN, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[LOADED_MAIN] = module
    _loading_main = True
    try:
        loader.exec_module(module)
    except InvalidInput:
        raise
    except BaseException as error:
        raise InvalidInput(f"function: {path} can't be imported: {shown(error)}") from error
    finally:
        _loading_main = False
