"""`joblot run` over a million lines: do its memory or speed depend on the number of lines?

    python bench/million.py [--items 1000000] [--db sqlite] [--workers 2]

First a tenth of the items, then all of them; halfway through the full run every process of it gets
SIGKILL, and the run is resumed. The function only records that it was called.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import figure, write

from joblot import standalone
from joblot.config import limits
from joblot.testing.postgres import PostgresServer

LOOK_SECONDS = 0.5
FUNCTION = """
import os

calls = os.open("calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def called(line):
    os.write(calls, b".")
    return len(line)
"""


@dataclass
class Watched:
    """One `joblot run`: its duration, and the peak memory of each of its processes."""

    seconds: float = 0.0
    settled: int = 0
    peaks: dict[str, int] = field(default_factory=dict)  # MiB

    def note(self, run: int) -> None:
        for pid in (run, *_children(run)):
            name = "run" if pid == run else "worker"
            self.peaks[name] = max(self.peaks.get(name, 0), _peak_mib(pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with _database(asked.db) as url, tempfile.TemporaryDirectory() as folder:
        standalone.setup(url)
        bench = Bench(Path(folder), url, asked.workers)
        bench.measure(asked.items, asked.db)


@contextmanager
def _database(db: str) -> Iterator[str]:
    if db == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/joblot.sqlite3"
    else:
        with PostgresServer() as server:
            yield server.create_database("bench")


@dataclass
class Bench:
    folder: Path
    url: str
    workers: int

    def measure(self, items: int, db: str) -> None:
        (self.folder / "work.py").write_text(FUNCTION)
        self._joblot("migrate").wait()
        few = self._whole(items // 10)
        calls = self._calls()
        broken_off, job = self._run(items, until=items // 2)
        resumed, _ = self._run(items, resume=job)
        assert self._joblot("audit", str(job)).wait() == 0
        assert _progress()["stages"][0]["succeeded"] == items

        size = f"{db}: {{}}, {items:,} items / {items // 10:,}"
        memory = {
            name: max(part.peaks[name] for part in (broken_off, resumed)) / few.peaks[name]
            for name in few.peaks
        }
        rate = (resumed.settled - broken_off.settled) / resumed.seconds
        again = (self._calls() - calls) / items
        held = 2 * self.workers * limits().claim_items_max  # one lease in work, one claimed ahead
        figures = [
            figure(size.format("memory of the run"), [memory["run"]], "<= 1.3"),
            figure(size.format("memory of a worker"), [memory["worker"]], "<= 1.3"),
            figure(
                size.format("items a second at the end"),
                [rate * few.seconds / few.settled],
                ">= 0.77",
            ),
            figure(
                f"{db}: calls / items, with a SIGKILL in the middle",
                [again],
                f"<= {1 + held / items:g}",
            ),
        ]
        parts = {"tenth": few, "before SIGKILL": broken_off, "resumed": resumed}
        measured = {
            name: {
                "seconds": round(part.seconds, 1),
                "settled at the end": part.settled,
                "peak MiB": part.peaks,
            }
            for name, part in parts.items()
        }
        write(f"million_{db}", figures, {"items": items, "workers": self.workers, **measured})

    def _whole(self, items: int) -> Watched:
        watched, _ = self._run(items)
        assert watched.settled == items
        return watched

    def _run(
        self, items: int, until: int | None = None, resume: int | None = None
    ) -> tuple[Watched, int]:
        """Run or resume; at `until` settled items, kill every process of the run."""
        arguments = ["--resume", str(resume)] if resume else ["work:called"]
        lines = self.folder / "lines"
        with lines.open("w") as file:
            file.writelines(f"line {number} of some\n" for number in range(items))
        began, watched = time.perf_counter(), Watched()
        if not (resume and _progress()["sealed"]):
            arguments += ["--lines", "lines"]
        run = self._joblot("run", *arguments, "--workers", str(self.workers))
        while run.poll() is None:
            watched.note(run.pid)
            time.sleep(LOOK_SECONDS)
            if until is not None and _settled() >= until:
                for pid in (run.pid, *_children(run.pid)):
                    os.kill(pid, signal.SIGKILL)
                run.wait()
        watched.seconds, watched.settled = time.perf_counter() - began, _settled()
        assert until is not None or run.returncode == 0
        print(watched, flush=True)
        return watched, _progress()["id"]

    def _joblot(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"JOBLOT_DATABASE_URL": self.url}
        command = [sys.executable, "-m", "joblot.cli", *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=environment)

    def _calls(self) -> int:
        return (self.folder / "calls").stat().st_size


def _progress() -> dict[str, Any]:
    """The progress of the newest job."""
    from joblot import progress
    from joblot.models import Job

    newest = Job.objects.order_by("-pk").values_list("pk", flat=True).first()
    return progress(newest) if newest else {"id": 0, "stages": []}


def _settled() -> int:
    return sum(stage["succeeded"] for stage in _progress()["stages"])


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def _peak_mib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kib = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kib[0]) // 1024 if kib else 0


if __name__ == "__main__":
    main()
