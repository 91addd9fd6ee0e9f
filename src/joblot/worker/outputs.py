"""What a function of a batch may return: a list, a tuple, or a one-dimensional array.

Anything else with a length, even the right one, may be in another order or iterate over something
else: a set, a dict, a data frame. Its outputs would be paired with the wrong items.
"""

from __future__ import annotations

from array import array
from typing import Any

from joblot.errors import PermanentError
from joblot.worker.causes import Interrupted


class NotOutputs(PermanentError):
    """What the function returned for a batch is not a sequence of outputs."""


def as_outputs(returned: Any, expected: int) -> list[Any]:
    """One output for each item, in the order of the items. Raises PermanentError."""
    outputs = _listed(returned)
    if outputs is None:
        raise NotOutputs(f"expected a list of {expected} outputs, got {_shown(returned)}")
    if len(outputs) != expected:
        raise PermanentError(f"expected {expected} outputs, one for each item, got {len(outputs)}")
    return outputs


def _listed(returned: Any) -> list[Any] | None:
    """A new list, or None if this is not a sequence of outputs."""
    kind = type(returned)
    if issubclass(kind, list | tuple):
        # A named tuple has fields, not outputs.
        return None if hasattr(kind, "_fields") else list(returned)
    if issubclass(kind, array) or _is_array(returned):
        outputs = returned.tolist()
        return outputs if type(outputs) is list else None
    return None


def _is_array(returned: Any) -> bool:
    """Arrays as in NumPy and PyTorch. A series has labels, so its order means nothing."""
    kind = type(returned)
    if kind is memoryview or not hasattr(kind, "tolist") or hasattr(kind, "keys"):
        return False
    shape = _shape(returned)
    return shape is not None and len(shape) == 1


def _shape(returned: Any) -> tuple[int, ...] | None:
    try:
        shape = tuple(returned.shape)
        return shape if len(shape) == returned.ndim else None
    except Interrupted:
        raise
    except BaseException:  # noqa: BLE001 (an attribute of this name may do anything)
        return None


def _shown(returned: Any) -> str:
    """The name of its class; of an array, its shape too."""
    shape = _shape(returned) if hasattr(type(returned), "tolist") else None
    more = f" of shape {shape}" if shape is not None and len(shape) != 1 else ""
    return f"{type(returned).__name__}{more}"
