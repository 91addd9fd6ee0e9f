"""Pydantic's validation errors, in the style of joblot's other messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_KINDS: Mapping[str, str] = {
    "missing": "expected, and missing",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "less_than_equal": "expected {le} or less",
    "string_too_short": "expected text, {min_length} or more characters long",
    "string_too_long": "expected text, at most {max_length} characters long",
    "too_short": "expected a list of {min_length} or more",
    "enum": "expected one of {expected}",
    "literal_error": "expected one of {expected}",
}


def expected(error: Mapping[str, Any]) -> str:
    """The message of one of `ValidationError.errors`."""
    kind = _KINDS.get(error["type"])
    if kind is None:
        return str(error["msg"]).removeprefix("Value error, ")
    return kind.format(**error.get("ctx", {}))
