"""Run all benchmarks in turn, then write bench/results/summary.json and the pages' tables.

    python -m bench [--quick]

Exits with 1 if a figure misses its bound in every round, which noise alone does not explain. With
`--quick` there are fewer and shorter rounds, and the results that the pages show stay as they are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FULL = (
    ("-m", "bench.arena"),
    ("reports.py",),
    ("claims.py", "--items", "160000", "--handlers", "32"),
    ("crowd.py",),
    ("fair.py", "--handlers", "32"),
    ("cancel.py", "--handlers", "32"),
    ("verbs.py",),
    ("tasks.py",),
    ("fan_out.py",),
    ("growth.py",),
    ("growth.py", "--db", "sqlite"),
    ("removal.py",),
    ("over_http.py",),
    ("waking.py",),
    ("dispatching.py",),
    ("older_fleet.py",),
    ("million.py",),
    ("million.py", "--db", "postgres"),
    ("viewers.py",),
    ("listing.py",),
    ("listing.py", "--db", "postgres"),
    ("picture.py",),
    ("picture.py", "--db", "postgres"),
    ("map.py",),
)
QUICK = (
    ("-m", "bench.arena", "--quick", "--rounds", "2", "--rest", "1", "--seconds", "0.5"),
    ("reports.py", "--rounds", "2", "--sizes", "16"),
    ("claims.py", "--items", "8000", "--handlers", "8"),
    ("crowd.py", "--rounds", "2"),
    ("fair.py", "--jobs", "300", "--rounds", "2", "--seconds", "1"),
    ("cancel.py", "--rounds", "3", "--handlers", "8"),
    ("growth.py", "--items", "1000", "10000"),
    ("over_http.py", "--rounds", "1", "--seconds", "1", "--waiting", "100"),
    ("older_fleet.py", "--rounds", "2"),
    ("million.py", "--items", "50000"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="joblot-bench-") as folder:
        environment = os.environ | ({"BENCH_RESULTS": folder} if quick else {})
        for options in QUICK if quick else FULL:
            print(f"== {' '.join(options)}", flush=True)
            subprocess.run(_command(*options), env=environment, cwd=HERE.parent, check=True)
        if not quick:
            subprocess.run(_command("-m", "bench.arena.page"), cwd=HERE.parent, check=True)
        return subprocess.run(
            _command("page.py"), env=environment, cwd=HERE.parent, check=False
        ).returncode


def _command(*options: str) -> list[str]:
    """A script of this folder, or a package by `-m`."""
    program, *rest = options
    return [sys.executable, program if program == "-m" else str(HERE / program), *rest]


if __name__ == "__main__":
    sys.exit(main())
