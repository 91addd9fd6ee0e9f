"""Handlers: many processes that do the same at once, each on its own connection."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections

Act = Callable[[], Any]  # one act of a handler; returns its kind; False or None ends it early
Prepare = Callable[[int], Act]  # by the handler's number, in its own process


@dataclass(frozen=True, slots=True)
class Storm:
    """All acts of the handlers: how long each took and when it ended, in seconds."""

    seconds: float
    latencies: list[float]
    ends: list[float]
    kinds: list[Any]

    @property
    def acts(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        return self.acts / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def storm(prepare: Prepare, *, handlers: int, seconds: float) -> Storm:
    """Let `handlers` processes act for `seconds` once all of them are ready."""
    connections.close_all()  # a forked connection would be shared
    fork = multiprocessing.get_context("fork")
    ready = fork.Barrier(handlers + 1)
    pipes = [fork.Pipe(duplex=False) for _ in range(handlers)]
    children = [
        fork.Process(target=_handle, args=(prepare, number, ready, seconds, sender), daemon=True)
        for number, (_, sender) in enumerate(pipes)
    ]
    for child in children:
        child.start()
    ready.wait()
    began = time.monotonic()
    acts = [act for receiver, _ in pipes for act in receiver.recv()]
    for child in children:
        child.join()
    latencies, ends, kinds = (list(column) for column in zip(*acts, strict=True))
    return Storm(max(ends) - began, latencies, ends, kinds)


def _handle(prepare: Prepare, number: int, ready: Any, seconds: float, sender: Any) -> None:
    act = prepare(number)
    ready.wait()
    sender.send(list(_acts(act, time.monotonic() + seconds)))
    connections.close_all()


def _acts(act: Act, until: float) -> Iterator[tuple[float, float, Any]]:
    """Each act's latency, end and kind; all processes share one monotonic clock."""
    began = time.monotonic()
    while began < until and (kind := act()) not in (None, False):
        ended = time.monotonic()
        yield ended - began, ended, kind
        began = ended
