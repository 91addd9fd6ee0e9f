"""One measurement of one peer: submit, drain with two workers, prove."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.peers.services import Services, free_port, old_snapshot, started
from bench.peers.shape import Peer, Variant
from bench.peers.truth import Truth
from bench.peers.workers import HERE, Processes

LOOK_SECONDS = 0.02
ASK_SECONDS = 0.2  # between two questions to the framework itself


@dataclass(frozen=True, slots=True)
class Asked:
    """`patience`: seconds without any progress after which what is left counts as lost.

    `limit`: seconds after which the drain is broken off.
    """

    items: int
    kill_at_half: bool = False
    old_snapshot: bool = False
    patience: float = 30.0
    limit: float = 900.0


@dataclass
class Watched:
    """What the harness saw of a drain."""

    began: float  # seconds since the epoch
    series: list[tuple[float, int]] = field(default_factory=list)  # seconds, calls
    settled: bool = False
    killed_at: int = 0

    def tenths(self, items: int) -> float | None:
        """The rate of the last tenth of the items / of the first."""
        first = self._rate(0, items // 10)
        last = self._rate(items - items // 10, items)
        return round(last / first, 3) if first and last else None

    def _rate(self, low: int, high: int) -> float | None:
        inside = [(at, calls) for at, calls in self.series if low < calls <= high]
        if len(inside) < 2 or inside[-1][0] == inside[0][0]:
            return None
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def measure(peer: Peer, variant: Variant, asked: Asked) -> dict[str, Any]:
    """Raises Failed if a command of the peer fails."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        services = stack.enter_context(started(peer.services, variant.appendfsync))
        environment = _environment(peer, variant, asked, services, folder)
        processes = Processes(peer, environment, folder)
        stack.callback(processes.stop)
        processes.run("prepare")
        if peer.serves:
            processes.start_server()
            processes.run("ready")
        if asked.old_snapshot:
            stack.enter_context(old_snapshot(services.addresses["PEER_DATABASE_URL"]))
        return _Measurement(peer, variant, asked, services, processes).take()


@dataclass
class _Measurement:
    peer: Peer
    variant: Variant
    asked: Asked
    services: Services
    processes: Processes

    @property
    def truth(self) -> Truth:
        return Truth(self.processes.folder)

    def take(self) -> dict[str, Any]:
        services, processes = self.services, self.processes
        client, server, wal = processes.cpu_seconds(), services.cpu_seconds(), services.wal_bytes()
        submitting = processes.run("submit")
        watched = Watched(time.time())
        processes.start_workers()
        self._watch(watched)
        client, server = processes.cpu_seconds() - client, services.cpu_seconds() - server
        wal = services.wal_bytes() - wal
        draining = self.truth.last_write() - watched.began
        calls = max(1, self.truth.calls())  # fewer than items if it was broken off
        if not watched.settled and not self.asked.kill_at_half:
            print(processes.tail())
        return {
            "appendfsync": self.variant.appendfsync if services.redis else None,
            "items": self.asked.items,
            "submit seconds": round(submitting, 2),
            "drain seconds": round(draining, 2),
            "items/s": round(calls / (submitting + draining)),
            "CPU ms/item": round((client + server) * 1000 / calls, 4),
            "client CPU ms/item": round(client * 1000 / calls, 4),
            "WAL bytes/item": round(wal / calls) if services.database else None,
            "last tenth / first": watched.tenths(self.asked.items),
            "settled": watched.settled,
            "patience": self.asked.patience,
            "killed at": watched.killed_at or None,
            **self._proof(),
        }

    def _proof(self) -> dict[str, Any]:
        peer, services = self.peer, self.services
        proof: dict[str, Any] = self.truth.prove(self.asked.items).as_dict()
        if peer.final_events:
            proof["callbacks"] = services.number(peer.final_events)
        elif not peer.calls_back:
            proof |= {"callbacks": None, "early": None}
        counted = services.number(peer.counted) if peer.counted else None
        error = None if counted is None else counted - proof["ran"]
        return {"proof": proof, "counted": counted, "count error": error}

    def _watch(self, watched: Watched) -> None:
        """Until the framework has nothing left to do, or nothing has moved for too long."""
        asked, truth, processes = self.asked, self.truth, self.processes
        seen, moved, next_question, left = (-1, -1, -1), time.monotonic(), 0.0, -1
        while True:
            now, calls = time.monotonic(), truth.calls()
            watched.series.append((now, calls))
            if asked.kill_at_half and not watched.killed_at and calls >= asked.items // 2:
                processes.kill()
                watched.killed_at = calls
                processes.start_workers()
            if now >= next_question and (calls >= asked.items or now > moved + 1):
                next_question = now + ASK_SECONDS
                left = self.services.number(self.peer.open_items)
                if left == 0 and calls >= asked.items and self._called_back():
                    watched.settled = True
                    return
            if seen != (seen := (calls, left, truth.callbacks())):
                moved = now
            given_up = processes.all_ended() and now > moved + 5
            too_long = time.time() > watched.began + asked.limit
            if now > moved + asked.patience or given_up or too_long:
                return
            time.sleep(LOOK_SECONDS)

    def _called_back(self) -> bool:
        return not self.peer.calls_back or self.truth.callbacks() > 0


def _environment(
    peer: Peer, variant: Variant, asked: Asked, services: Services, folder: Path
) -> dict[str, str]:
    return {
        **os.environ,
        **services.addresses,
        "PEER_PORT": str(free_port()),
        "PEER_ITEMS": str(asked.items),
        "PEER_BATCH": str(variant.batch),
        "PEER_TUNED": "1" if variant.tuned else "0",
        "PEER_TRUTH": str(folder),
        "PYTHONPATH": os.pathsep.join([str(HERE), str((HERE / peer.script).parent)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
