"""Run all benchmarks in turn, then write bench/results/summary.json and the page's table.

    python -m bench [--quick]

Exits with 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FULL = (
    ("hot_job.py",),
    ("hot_job.py", "--commit-delay-us", "2000"),
    ("reports.py",),
    ("claims.py", "--items", "160000", "--handlers", "32"),
    ("crowd.py",),
    ("fair.py", "--handlers", "32"),
    ("cancel.py", "--handlers", "32"),
    ("verbs.py",),
    ("growth.py",),
    ("growth.py", "--db", "sqlite"),
    ("removal.py",),
    ("over_http.py",),
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
    ("hot_job.py", "--rounds", "1", "--seconds", "1"),
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
    for script, *options in QUICK if parser.parse_args().quick else FULL:
        print(f"== {script} {' '.join(options)}", flush=True)
        subprocess.run([sys.executable, HERE / script, *options], check=True)
    return subprocess.run([sys.executable, HERE / "page.py"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
