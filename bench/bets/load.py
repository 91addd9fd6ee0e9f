"""Shared by both bets: resetting the database, pgbench as the load, an old snapshot held open."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

DEBIAN_PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"


@dataclass
class Load:
    """A finished pgbench run: transactions, rate per second, and the rate in each second."""

    transactions: int
    rate: float
    per_second: list[float] = field(default_factory=list)


def start(
    dsn: str,
    script: str,
    *,
    clients: int,
    seconds: int,
    options: str = "",
    extra: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Start pgbench on one script, with prepared statements and one progress line per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql", delete=False) as file:
        file.write(script)
    return subprocess.Popen(
        [
            shutil.which("pgbench") or DEBIAN_PGBENCH,
            *("-n", "-M", "prepared", "-P", "1", "-j", "1", "-f", file.name),
            *("-c", str(clients), "-T", str(seconds), *extra, dsn),
        ],
        env={"PGOPTIONS": options},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Load:
    """Wait for a pgbench and parse its figures; raise with its output if a client failed."""
    output, _ = process.communicate()
    Path(process.args[process.args.index("-f") + 1]).unlink()  # type: ignore[union-attr,arg-type]
    if process.returncode:
        raise RuntimeError(output[-2000:])
    return Load(
        transactions=int(re.findall(r"actually processed: (\d+)", output)[0]),
        rate=float(re.findall(r"tps = ([\d.]+)", output)[-1]),
        per_second=[float(rate) for rate in re.findall(r"progress: .*? ([\d.]+) tps", output)],
    )


@contextmanager
def old_snapshot(dsn: str, held: bool = True) -> Iterator[None]:
    """Hold a REPEATABLE READ snapshot open, as a dump or a forgotten shell would."""
    with psycopg.connect(dsn) as connection:
        if held:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT count(*) FROM joblot_job")
        yield
        connection.rollback()
