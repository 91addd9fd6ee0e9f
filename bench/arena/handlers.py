"""The worker loop, the same for all: handlers that each handle their batches one by one.

They are processes, or the threads of one process. What runs beside them has a process of its own.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from django.db import connections

from bench.arena.truth import Truth
from bench.strategies.shape import Batch, Strategy

WARM = 8  # batches of each handler before the clock starts
PATIENCE_SECONDS = 120

fork = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Acts:
    """What the handlers did while the clock ran; times in seconds, on one monotonic clock."""

    seconds: float
    latencies: list[float]
    client: float  # processor seconds
    handled: int  # batches, those before the clock started included

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True, slots=True)
class Task:
    """What every handler needs to know."""

    strategy: Strategy
    seconds: float
    warm: int
    truth: Truth | None

    def handle(self, batch: Batch) -> None:
        if self.truth is None:
            self.strategy.handle(batch)
            return
        self.truth.begin(batch)
        self.strategy.handle(batch)
        self.truth.end(batch)


class Crew:
    """The handlers of one run: `warm_up`, `begin`, look as often as wanted, `end`, `release`."""

    def __init__(self, task: Task, work: Sequence[Sequence[Batch]]) -> None:
        connections.close_all()  # a forked connection would be shared
        gc.collect()
        gc.freeze()  # else each handler copies the parent's memory in its first collection
        crews = [work] if task.strategy.one_process else [[mine] for mine in work]
        background = task.strategy.background()
        self._gate = fork.Barrier(len(crews) + (background is not None) + 1)
        self._stop = fork.Event()
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        for crew in crews:
            self._fork(_handle, task, crew)
        self._handlers = list(self._pipes)
        if background is not None:
            self._fork(_repeat, background, task.strategy.every, self._stop)
        self._warmed = sum(min(task.warm, len(mine)) for mine in work)
        self._began = 0.0

    def _fork(self, target: Callable[..., None], *args: Any) -> None:
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_child, args=(target, sender, self._gate, *args), daemon=True)
        process.start()
        sender.close()
        self._pipes.append(receiver)
        self._processes.append(process)

    def warm_up(self) -> None:
        """Wait until all are connected and warm; then they stand still."""
        self._pass_gate()

    def begin(self) -> None:
        """Start the clock."""
        self._pass_gate()
        self._began = time.monotonic()

    @property
    def working(self) -> bool:
        return not all(pipe.poll() for pipe in self._handlers)

    def end(self) -> Acts:
        """Wait for the handlers, which then still hold their connections, until `release`."""
        found = [self._receive(pipe) for pipe in self._handlers]
        self._stop.set()
        found += [self._receive(pipe) for pipe in self._pipes[len(self._handlers) :]]
        acts = [act for crew, _ in found for act in crew]
        ends = [ended for _, ended in acts]
        return Acts(
            seconds=max(ends) - self._began,
            latencies=[took for took, _ in acts],
            client=sum(used for _, used in found),
            handled=len(acts) + self._warmed,
        )

    def release(self) -> None:
        self._pass_gate()
        for process in self._processes:
            process.join()

    def _pass_gate(self) -> None:
        try:
            self._gate.wait(PATIENCE_SECONDS)
        except threading.BrokenBarrierError:
            raise SystemExit("a handler failed; its error is above") from None

    def _receive(self, pipe: Connection) -> tuple[list[tuple[float, float]], float]:
        if not pipe.poll(PATIENCE_SECONDS):
            raise SystemExit("a handler does not end")
        try:
            received: tuple[list[tuple[float, float]], float] = pipe.recv()
        except EOFError:
            raise SystemExit("a handler failed; its error is above") from None
        return received


def _child(target: Callable[..., None], sender: Connection, gate: Any, *args: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        target(gate, sender, *args)
    except Exception:
        traceback.print_exc()
        gate.abort()
        raise
    finally:
        sender.close()


def _handle(gate: Any, sender: Connection, task: Task, crew: Sequence[Sequence[Batch]]) -> None:
    """Each of the crew in a thread of its own; the main thread only waits."""
    steps = threading.Barrier(len(crew) + 1)
    acts: list[tuple[float, float]] = []

    def handler(mine: Sequence[Batch]) -> None:
        try:
            for batch in mine[: task.warm]:
                task.handle(batch)
            steps.wait()  # all are warm
            steps.wait()  # the clock runs
            acts.extend(_timed(task, mine[task.warm :]))
            steps.wait()  # all have ended
            steps.wait()  # they are measured, so connections may be closed
        except Exception:
            steps.abort()
            raise
        finally:
            connections.close_all()

    threads = [threading.Thread(target=handler, args=(mine,)) for mine in crew]
    for thread in threads:
        thread.start()
    steps.wait(PATIENCE_SECONDS)
    gate.wait(PATIENCE_SECONDS)  # all processes are warm
    gate.wait(PATIENCE_SECONDS)  # the servers' costs are known
    used = time.process_time()
    steps.wait()
    steps.wait()
    sender.send((acts, time.process_time() - used))
    gate.wait(PATIENCE_SECONDS)
    steps.wait()
    for thread in threads:
        thread.join()


def _timed(task: Task, mine: Sequence[Batch]) -> list[tuple[float, float]]:
    """The latency and the end of each batch."""
    acts = []
    began = time.monotonic()
    until = began + task.seconds
    for batch in mine:
        if began >= until:
            break
        task.handle(batch)
        ended = time.monotonic()
        acts.append((ended - began, ended))
        began = ended
    return acts


def _repeat(
    gate: Any, sender: Connection, background: Callable[[], None], every: float, stop: Any
) -> None:
    background()
    gate.wait(PATIENCE_SECONDS)
    gate.wait(PATIENCE_SECONDS)
    used = time.process_time()
    while not stop.wait(every):
        background()
    sender.send(([], time.process_time() - used))
    gate.wait(PATIENCE_SECONDS)
    connections.close_all()
