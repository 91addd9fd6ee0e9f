"""The form in which a job's name, priority and policy are edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from joblot.errors import InvalidInput
from joblot.ledger.rows.job import policy_of
from joblot.models import Job
from joblot.policy_words import FIELDS, OF_POLICY, label_of
from joblot.shown import shown


@dataclass(frozen=True, slots=True)
class EditForm:
    """Each field has what it was when the form was made (`was_…`): only what a person has changed
    is sent to the ledger, so nobody's change of another field is undone.
    """

    fields: Mapping[str, Any]

    @classmethod
    def of(cls, job: Job) -> Self:
        policy = policy_of(job).as_json()
        values = {"name": job.name, "priority": job.priority}
        return cls(values | {OF_POLICY + name: value for name, value in policy.items()})

    def shown(self, given: Mapping[str, Any]) -> list[dict[str, str]]:
        """The fields, with their words and what was given so far."""
        return [
            {
                "name": name,
                **FIELDS[name]._asdict(),
                "was": given.get(f"was_{name}", _text(value)),
                "value": given.get(name, _text(value)),
            }
            for name, value in self.fields.items()
        ]

    def changes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of `edit`. Raises InvalidInput."""
        changed = {
            name: str(given[name]).strip()
            for name in self.fields
            if name in given and given[name] != given.get(f"was_{name}")
        }
        found: dict[str, Any] = {"policy": {}}
        for name, text in changed.items():
            if name == "name":
                found["name"] = text
            elif name == "priority":
                found["priority"] = _number(name, text)
            else:
                setting = name.removeprefix(OF_POLICY)
                found["policy"][setting] = _value(name, text) if text else None
        return found


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, text: str) -> float | str:
    """A setting without a unit is text. Raises InvalidInput."""
    return _number(name, text) if FIELDS[name].unit else text


def _number(name: str, text: str) -> float:
    """Raises InvalidInput."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InvalidInput(f"{label_of(name)}: expected a number, got {shown(text, 60)}")
