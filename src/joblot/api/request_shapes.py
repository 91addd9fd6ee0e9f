"""What the objects of a request have in common, and the list of items that some bring.

An error takes far more memory than the value that it is about, and a model of each item far more
than the item. So what a request may have a million of is checked to the first that is wrong.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from joblot.shown import shown

UNKNOWN_TOLD_MAX = 5


def _wrong(message: str) -> PydanticCustomError:
    """What a validator raises. pydantic would keep a ValueError with its traceback, and so with the
    whole request, in a cycle that is never collected.
    """
    return PydanticCustomError("wrong", "{message}", {"message": message})


class Shape(Schema):
    """An object of a request: a field that isn't known is a mistake, and all of them are one error.

    A list in it says `fail_fast`.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _only_known_fields(cls, given: Any) -> Any:
        if isinstance(given, dict) and (unknown := given.keys() - cls.model_fields.keys()):
            told = ", ".join(f"{shown(name)}" for name in islice(unknown, UNKNOWN_TOLD_MAX))
            raise _wrong(f"expected only {', '.join(cls.model_fields)}; got also {told}")
        return given


class ItemIn(Shape):
    """`key` is unique in its job; without a `payload` the worker's function gets the key."""

    key: str
    payload: Any = None


def _items(given: list[Any]) -> list[Any]:
    """The items as they came: there may be a million, and a model of each would take long.

    Raises PydanticCustomError at the first that is none.
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
