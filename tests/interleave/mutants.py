"""Remove each guard from a copy of joblot; the test named for it must fail.

    python -m tests.interleave.mutants [WORD …]    # only guards with one of the words

First all of these tests must pass on an unchanged copy. Exits with 1 if a loss is not detected.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.interleave.guards import GUARDS
from tests.interleave.guards.guard import Guard

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
SECONDS_MAX = 300
GREEN, RED = 0, 1  # pytest's exit codes; any other is inconclusive
PROBLEM = re.compile(r"^E\s+(?:\S+(?:ScheduleFailed|Error): )(.+)", re.MULTILINE)


def copy_of_joblot(folder: Path) -> Path:
    shutil.copytree(ROOT / "src", folder, dirs_exist_ok=True)
    return folder


def run_tests(src: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider"]
    command += ["--interleave", "full", *(f"tests/{test}" for test in tests)]
    environment = os.environ | {"PYTHONPATH": str(src), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def missed(guard: Guard) -> tuple[bool, str]:
    """Whether the test fails without the guard, and its message."""
    with tempfile.TemporaryDirectory(prefix="joblot-mutant-") as folder:
        src = copy_of_joblot(Path(folder))
        guard.take_out(src)
        done = run_tests(src, [guard.caught_by])
    if done.returncode not in {GREEN, RED}:
        return False, f"no answer, pytest ended with {done.returncode}: {done.stdout[-500:]}"
    problem = PROBLEM.search(done.stdout)
    return done.returncode == RED, problem[1] if problem else "green"


def all_green() -> bool:
    with tempfile.TemporaryDirectory(prefix="joblot-mutant-") as folder:
        src = copy_of_joblot(Path(folder))
        done = run_tests(src, sorted({guard.caught_by for guard in GUARDS}))
    sys.stdout.write(f"untouched: {(done.stdout + done.stderr).splitlines()[-1]}\n")
    return done.returncode == GREEN


def main(words: Sequence[str]) -> int:
    chosen = [g for g in GUARDS if not words or any(w in g.kept + g.caught_by for w in words)]
    good = all_green()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for guard, (red, says) in zip(chosen, pool.map(missed, chosen), strict=True):
            good = good and red
            sys.stdout.write(f"{'red  ' if red else 'GREEN'} {guard.kept}\n      {says[:150]}\n")
            sys.stdout.flush()
    sys.stdout.write(
        f"{len(chosen)} guards; {'each is missed' if good else 'NOT all are missed'}\n"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
