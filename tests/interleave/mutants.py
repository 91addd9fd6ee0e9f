"""Remove each guard from a copy of joblot; the test named for it must fail.

    python -m tests.interleave.mutants [TEXT …]    # only guards with one of the texts

First these tests must pass on an unchanged copy. Exits with 1 if a loss is not detected.
"""

from __future__ import annotations

import argparse
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
SECONDS_MAX = 300  # of one test
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
        timeout=SECONDS_MAX * len(tests),
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
    red = done.returncode == RED
    return red, problem[1] if problem else "a test failed" if red else "green"


def are_green(guards: Sequence[Guard]) -> bool:
    with tempfile.TemporaryDirectory(prefix="joblot-mutant-") as folder:
        src = copy_of_joblot(Path(folder))
        done = run_tests(src, sorted({guard.caught_by for guard in guards}))
    sys.stdout.write(f"untouched: {(done.stdout + done.stderr).splitlines()[-1]}\n")
    return done.returncode == GREEN


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", nargs="*", help="in the description of a guard or its test's name")
    texts = parser.parse_args(given).texts
    chosen = [g for g in GUARDS if not texts or any(t in g.kept + g.caught_by for t in texts)]
    if not chosen:
        parser.error(f"no guard's description or test contains {' or '.join(texts)}")
    good = are_green(chosen)
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
