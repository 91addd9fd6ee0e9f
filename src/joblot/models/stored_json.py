"""A JSON column for data from outside: reading it never fails."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform

from joblot.bounded_json import stored


class StoredJSON(models.JSONField):
    """Like Django's JSONField, but a value that can't be read becomes Unreadable; its row loads."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if isinstance(value, str) and not isinstance(expression, KeyTransform):
            return stored(value)
        return super().from_db_value(value, expression, connection)

    def deconstruct(self) -> Any:
        """For migrations it is Django's JSONField: the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
