"""The answers of a process that makes calls: when a call begins, and when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol


class Call(Protocol):
    """A call of an adopter's code, with a name (`str`), and how long it may take."""

    @property
    def seconds_max(self) -> float: ...

    @property
    def retry_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A call has begun. It may take `seconds_max`; if it never ends, the next try is later."""

    what: str
    seconds_max: float
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The call has ended: the handler or the storage returned, or raised."""

    returned: bool


Message = Begun | Ended
_KINDS: dict[str, type[Message]] = {"Begun": Begun, "Ended": Ended}


def as_json(message: Message) -> dict[str, Any]:
    return {"kind": type(message).__name__, **asdict(message)}


def message_of(given: Mapping[str, Any]) -> Message:
    members = dict(given)
    return _KINDS[members.pop("kind")](**members)
