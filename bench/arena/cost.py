"""What a run has cost the servers: processor time, WAL, rows left dead, bytes on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.strategies.world import one, run

WRITTEN = """
SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint,
       coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
FROM pg_stat_user_tables
"""
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Written:
    """Since the server began: row versions that were replaced or deleted, and bytes on disk."""

    dead: int
    disk: int

    @classmethod
    def now(cls) -> Written:
        """Once all other backends have ended, and have so reported their statistics."""
        deadline = time.monotonic() + 5
        while one(OTHERS) and time.monotonic() < deadline:
            time.sleep(0.02)
        run("SELECT pg_stat_force_next_flush()")
        return cls(*run(WRITTEN)[0])


def wal() -> int:
    return int(one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def processor_seconds(*roots: int) -> float:
    """Of these processes and their children that live now."""
    found = [psutil.Process(root) for root in roots]
    found += [child for process in found for child in process.children(recursive=True)]
    return sum(_used(process.pid) for process in found)


def _used(pid: int) -> float:
    """More precise than psutil where the kernel keeps it."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    except OSError:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)
