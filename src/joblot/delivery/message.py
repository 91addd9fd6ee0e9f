"""What a child says over its pipe: a line of JSON when a call begins, and one when it has ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Protocol


class Call(Protocol):
    """A call of an adopter's code, as text, with how long it may take."""

    @property
    def seconds_max(self) -> float: ...

    @property
    def retry_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A call has begun. It is given `seconds_max`; without an answer the next try is later."""

    what: str
    seconds_max: float
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The call has ended: the handler or the storage returned, or raised."""

    returned: bool


Message = Begun | Ended
_KINDS: dict[str, type[Message]] = {"Begun": Begun, "Ended": Ended}


def as_line(message: Message) -> str:
    return json.dumps({"kind": type(message).__name__, **asdict(message)}) + "\n"


def message_of(line: str) -> Message:
    given = json.loads(line)
    return _KINDS[given.pop("kind")](**given)
