"""Rough functions: each key names one way to fail; any other key is returned.

They are tried with `joblot run` and `joblot worker` (which import this file as a user's module),
with workers in a thread, and as functions of an item and of a batch, also async.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from joblot.worker import Output

NOT_SHOWN = "(its message cannot be shown)"


class Raises(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class RaisesBase(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt

    __repr__ = __str__


class NoText(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307


class Endless(Exception):
    def __str__(self) -> str:
        return str(self)


class Surrogate(Exception):
    def __str__(self) -> str:
        return "lone \ud800 surrogate"


class Enormous(Exception):
    def __str__(self) -> str:
        return "x" * 10_000_000


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class OfNoName(Exception, metaclass=Nameless):
    pass


class Items(dict[str, int]):
    """A dict whose contents can't be read."""

    def items(self) -> Any:
        raise asyncio.CancelledError


class Numbers(Mapping[str, int]):
    """Metrics that can't be read."""

    def __getitem__(self, name: str) -> int:
        raise GeneratorExit

    def __iter__(self) -> Iterator[str]:
        raise GeneratorExit

    def __len__(self) -> int:
        return 1


def circle() -> BaseException:
    """An exception that is its own cause and context, through another one."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__ = one.__context__ = other
    other.__cause__ = other.__context__ = one
    return one


def deep(n: int = 0) -> int:
    return deep(n + 1) + 1


def throws(error: BaseException) -> Callable[[], Any]:
    def throw() -> None:
        raise error

    return throw


GROUP = BaseExceptionGroup("all", [KeyboardInterrupt()])

# key: what it does, and the type and start of the message with which its item fails
ROUGH: dict[str, tuple[Callable[[], Any], str, str]] = {
    "cancelled": (throws(asyncio.CancelledError("c")), "CancelledError", "c"),
    "keyboard": (throws(KeyboardInterrupt("k")), "KeyboardInterrupt", "k"),
    "generator": (throws(GeneratorExit("g")), "GeneratorExit", "g"),
    "exit": (throws(SystemExit("bye")), "SystemExit", "bye"),
    "base": (throws(BaseException("b")), "BaseException", "b"),
    "group": (
        throws(BaseExceptionGroup("all", [KeyboardInterrupt()])),
        "BaseExceptionGroup",
        "all",
    ),
    "stop": (throws(StopIteration("s")), "", ""),  # an async function turns it into a RuntimeError
    "memory": (throws(MemoryError("m")), "MemoryError", "m"),
    "deep": (deep, "RecursionError", "maximum recursion depth exceeded"),
    "circle": (throws(circle()), "ValueError", "one"),
    "raises": (throws(Raises()), "Raises", NOT_SHOWN),
    "raises-base": (throws(RaisesBase()), "RaisesBase", NOT_SHOWN),
    "no-text": (throws(NoText()), "NoText", NOT_SHOWN),
    "endless": (throws(Endless()), "Endless", NOT_SHOWN),
    "surrogate": (throws(Surrogate()), "Surrogate", "lone ? surrogate"),
    "enormous": (throws(Enormous()), "Enormous", "xxx"),
    "no-name": (throws(OfNoName("n")), "Error", "n"),
    "unreadable": (lambda: Items(a=1), "", "what it returned: "),
    "unreadable-metrics": (lambda: Output(1, Numbers()), "", "what it returned: "),
    "no-json": (object, "InvalidResult", "what it returned: "),
}
GOOD = [f"good{n}" for n in range(20)]
KEYS = [key for pair in zip(GOOD, [*ROUGH, *GOOD], strict=False) for key in pair]
KEYS = list(dict.fromkeys([*KEYS, *ROUGH, *GOOD]))


def one(key: str) -> Any:
    return ROUGH[key][0]() if key in ROUGH else key


def batch(keys: list[str]) -> list[Any]:
    return [one(key) for key in keys]


async def async_one(key: str) -> Any:
    await asyncio.sleep(0)
    return one(key)


async def async_batch(keys: list[str]) -> list[Any]:
    return list(await asyncio.gather(*map(async_one, keys)))


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "one": (one, 0),
    "batch": (batch, 5),
    "async_one": (async_one, 0),
    "async_batch": (async_batch, 5),
}


def interrupts_itself(key: str) -> str:
    """Sends SIGINT to its own process, as a library may."""
    signal.raise_signal(signal.SIGINT)
    return key
