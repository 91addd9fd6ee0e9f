"""What a commit waits for on this machine: the durable writes per second of the disk."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from joblot.testing.postgres_programs import Owner, find_programs

METHOD = re.compile(r"^\s+(\S+)\s+([\d.]+) ops/sec\s+(\d+) usecs/op", re.MULTILINE)


def fsync() -> dict[str, float]:
    """Operations per second by method, one 8 kB write each; empty where there is no program."""
    with tempfile.TemporaryDirectory(prefix="joblot-fsync-") as folder:
        program = Path(find_programs(Owner.choose(), Path(folder)).postgres)
        program = program.with_name("pg_test_fsync")
        if not program.exists():
            return {}
        command = [str(program), "-s", "1", "-f", str(Path(folder) / "file")]
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    one_write = text.partition("using two 8kB writes")[0]
    return {name: float(rate) for name, rate, _ in METHOD.findall(one_write)}
