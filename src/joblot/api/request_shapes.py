"""What the objects of a request have in common, and the list of items that some contain.

An error takes far more memory than the value that it is about, and a model far more than its item.
So values of which a request may have a million are checked only up to the first invalid one.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from joblot.shown import shown

UNKNOWN_SHOWN_MAX = 5


def _wrong(message: str) -> PydanticCustomError:
    """An error for a validator to raise. pydantic would keep a ValueError with its traceback, and
    so the whole request, in a cycle that is never collected.
    """
    return PydanticCustomError("wrong", "{message}", {"message": message})


class Shape(Schema):
    """An object of a request. Unknown fields are refused, all of them in one error.

    A list in it must set `fail_fast`.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, given: Any) -> Any:
        if isinstance(given, dict) and (unknown := given.keys() - cls.model_fields.keys()):
            names = ", ".join(f"{shown(name)}" for name in islice(unknown, UNKNOWN_SHOWN_MAX))
            raise _wrong(f"expected only {', '.join(cls.model_fields)}; got also {names}")
        return given


class ItemIn(Shape):
    """`key` is unique in its job. Without a `payload`, the worker's function gets the key."""

    key: str
    payload: Any = None


def _items(given: list[Any]) -> list[Any]:
    """The items unchanged: there may be a million, and a model of each would take long.

    Raises PydanticCustomError at the first one that is not an item.
    """
    for position, one in enumerate(given):
        if not (isinstance(one, str) or (isinstance(one, dict) and _is_item(one))):
            raise _wrong(
                f'item {position}: expected {{"key": text, "payload": JSON}}, or a key; '
                f"got {shown(one)}"
            )
    return given


def _is_item(given: dict[str, Any]) -> bool:
    return isinstance(given.get("key"), str) and given.keys() <= ItemIn.model_fields.keys()


_ITEMS_SCHEMA = {
    "type": "array",
    "items": {"anyOf": [ItemIn.model_json_schema(), {"type": "string"}]},
}
Items = Annotated[list[Any], AfterValidator(_items), WithJsonSchema(_ITEMS_SCHEMA)]
