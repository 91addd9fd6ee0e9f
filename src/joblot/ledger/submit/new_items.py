"""Items as given by the caller: each is checked as it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from joblot import wire
from joblot.config import limits
from joblot.errors import InvalidItem, InvalidResult
from joblot.shown import shown

Given = Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class NewItem:
    """A key and its payload as JSON text, or None without a payload."""

    key: str
    payload: str | None


def checked_items(items: Iterable[Given]) -> Iterator[NewItem]:
    """Raises InvalidItem for the first invalid item, with its position in the stream."""
    for position, given in enumerate(items):
        try:
            yield _new_item(given)
        except InvalidItem as error:
            raise InvalidItem(f"item {position}: {error}") from error


def _new_item(given: Given) -> NewItem:
    key, payload = (given, None) if isinstance(given, str) else _key_and_payload(given)
    if not isinstance(key, str) or not 0 < len(key) <= limits().item_key_chars_max:
        raise InvalidItem(
            f"key: expected text of 1 to {limits().item_key_chars_max} characters, got {shown(key)}"
        )
    if not wire.is_storable(key):
        raise InvalidItem(f"key: expected text without U+0000 or lone surrogates, got {shown(key)}")
    if payload is None:
        return NewItem(key, None)
    try:
        text = wire.canonical(payload)
    except InvalidResult as error:
        raise InvalidItem(f"payload of {shown(key)}: {error}") from error
    if len(text.encode()) > limits().payload_bytes_max:
        raise InvalidItem(
            f"payload of {shown(key)}: expected at most {limits().payload_bytes_max} bytes, got "
            f"{len(text.encode())}; put the data elsewhere and its address into the payload"
        )
    return NewItem(key, text)


def _key_and_payload(given: Any) -> tuple[Any, Any]:
    if not isinstance(given, Mapping):
        raise InvalidItem(f'expected {{"key", "payload"}} or a key, got {type(given).__name__}')
    if unknown := sorted(set(given) - {"key", "payload"}, key=str):
        raise InvalidItem(f'expected only "key" and "payload", got also {shown(unknown[0])}')
    return given.get("key"), given.get("payload")
