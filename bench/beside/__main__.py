"""joblot beside what people use in its place on one machine: time, memory, and a SIGKILL.

    python -m bench.beside [--only rates|kills] [--tool NAME]

100,000 trivial items (fewer of the tools that take a process or a message for each), and 5,000
items of 20 ms, on SQLite; then what is lost and what is repeated after a SIGKILL of the main
process, or of a worker, in the middle. Writes bench/results/beside.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.beside.tools import PYTHON, TOOLS, Tool
from bench.beside.trial import Trial, adopt_orphans
from bench.figures import RESULTS, Figure, figure, write

WORKERS = {"trivial": 2, "waiting": 8}
KILLED_ITEMS, KILLED_WORKERS = 1_000, 4
PATH = RESULTS / "beside.json"
VERSIONS = "import dask, joblib; print(dask.__version__, joblib.__version__)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["rates", "kills"])
    parser.add_argument("--tool", choices=[one.name for one in TOOLS])
    asked = parser.parse_args()
    adopt_orphans()
    for tool in TOOLS:
        if asked.tool in (None, tool.name):
            found: dict[str, Any] = {}
            if asked.only in (None, "rates"):
                found |= {function: rate(tool, function) for function in WORKERS}
            if asked.only in (None, "kills"):
                found |= {f"kill {whom}": kill(tool, whom) for whom in ("main", "worker")}
            print(tool.name, json.dumps(found), flush=True)
            add(tool, found)


def add(tool: Tool, found: dict[str, Any]) -> None:
    """Write what was found of this tool, beside what is known of all."""
    known = json.loads(PATH.read_text())["measured"] if PATH.exists() else {}
    known[tool.name] = known.get(tool.name, {}) | found
    write("beside", figures(known), known | {"versions": _versions()})


def figures(known: dict[str, Any]) -> list[Figure]:
    """What joblot must hold after a SIGKILL, whatever others do."""
    ours = [found for name, found in known.items() if name.startswith("joblot")]
    kills = [one[f"kill {whom}"] for one in ours for whom in ("main", "worker") if len(one) == 4]
    if not kills:
        return []
    lost = [one["lost at the end"] + one["not called"] for one in kills]
    repeated = [one["repeated"] / one["items"] for one in kills]
    return [
        figure("items that joblot has lost after a SIGKILL, of 1,000", lost, "<= 0"),
        figure("share of calls that joblot repeats after a SIGKILL", repeated, "<= 0.05"),
    ]


def rate(tool: Tool, function: str) -> dict[str, Any]:
    items = tool.trivial_max if function == "trivial" else tool.waiting_max
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), items)
        trial.prepare()
        trial.start(tool.command(function, items, WORKERS[function]))
        how = trial.wait(memory=True)
        seconds, outputs, calls = trial.seconds, trial.outputs(), trial.calls()
        if how != "ended" or outputs != items or len(calls) != items:
            raise SystemExit(f"{tool.name}: {how}, {outputs} outputs\n{_log(trial)}")
        return {
            "items": items,
            "workers": WORKERS[function],
            "seconds": round(seconds, 2),
            "items/s": round(items / seconds),
            "CPU ms/item": round(1e3 * trial.cpu_seconds / items, 3),
            "peak MiB": round(trial.peak_bytes / 2**20),
            "load": round(os.getloadavg()[0], 1),
        }


def kill(tool: Tool, whom: str) -> dict[str, Any]:
    """A SIGKILL at half; then what continues is called until it succeeds, at most three times."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), KILLED_ITEMS)
        trial.prepare()
        trial.start(tool.command("waiting", KILLED_ITEMS, KILLED_WORKERS))
        at_half = trial.wait(lambda: sum(trial.calls().values()) >= KILLED_ITEMS // 2)
        if at_half != "reached":
            raise SystemExit(f"{tool.name}: {at_half} before it was half done\n{_log(trial)}")
        if whom == "main":
            trial.kill_main()
            trial.end()
            how = "killed"
        else:
            trial.kill_worker(of_item=tool.process_per_item)
            how = trial.wait()
        first, has, again = how, trial.outputs(), 0
        while (how != "ended" or trial.outputs() < KILLED_ITEMS) and again < 3:
            again += 1
            trial.start(tool.again("waiting", KILLED_ITEMS, KILLED_WORKERS))
            how = trial.wait()
        calls = trial.calls()
        return {
            "items": KILLED_ITEMS,
            "the killed command": first,
            "outputs then": has,
            "called again": again,
            "lost at the end": KILLED_ITEMS - trial.outputs(),
            "repeated": sum(calls.values()) - len(calls),
            "not called": KILLED_ITEMS - len(calls),
        }


def _versions() -> dict[str, str]:
    asked = subprocess.run([PYTHON, "-c", VERSIONS], capture_output=True, text=True, check=True)
    dask, joblib = asked.stdout.split()
    shown = subprocess.run(["parallel", "--version"], capture_output=True, text=True, check=True)
    return {"dask": dask, "joblib": joblib, "parallel": shown.stdout.split("\n")[0].split()[-1]}


def _log(trial: Trial) -> str:
    return (trial.folder / "log").read_text(errors="replace")[-3_000:]


if __name__ == "__main__":
    main()
