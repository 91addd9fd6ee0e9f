"""bench/results/peers.json: each run, the versions, and the figures that follow from them."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import RESULTS, Figure, figure
from bench.peers.catalogue import PEERS
from bench.peers.shape import Peer
from bench.peers.workers import FOLDER, HERE

PATH = RESULTS / "peers.json"
LOCK = FOLDER / "results.lock"
OURS = {"joblot", "joblot-http"}


def add(kind: str, peer: str, found: dict[str, Any]) -> None:
    """Replace the earlier result of this peer, variant and kind, and write the file.

    Several processes may do so: what does not depend on calm can run beside what does.
    """
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _add(kind, peer, found)


def _add(kind: str, peer: str, found: dict[str, Any]) -> None:
    runs = [one for one in read() if _key(one) != (kind, peer, found["variant"])]
    order = {one.name: number for number, one in enumerate(PEERS)}
    new = {"kind": kind, "peer": peer, **{k: v for k, v in found.items() if k != "peer"}}
    new |= {"commit": commit(), "load": round(os.getloadavg()[0], 1)}
    runs = sorted([*runs, new], key=lambda one: (order.get(one["peer"], 99), one["kind"]))
    document = {
        "about": {
            "commit": commit(),
            "command": "-m bench.peers",
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "versions": {one.name: version(one) for one in PEERS},
            "postgresql": _output(["psql", "--version"]),
            "redis": _output(["redis-server", "--version"]),
        },
        "figures": [asdict(one) for one in figures(runs)],
        "measured": {"runs": runs},
    }
    RESULTS.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(document, indent=1) + "\n")


def read() -> list[dict[str, Any]]:
    return json.loads(PATH.read_text())["measured"]["runs"] if PATH.exists() else []


def figures(runs: list[dict[str, Any]]) -> list[Figure]:
    """joblot's best beside the best of the peers; and what must be right in every run of it."""
    good = [one for one in runs if one["kind"] == "run" and one.get("settled")]
    ours = [one["items/s"] for one in good if one["peer"] == "joblot"]
    http = [one["items/s"] for one in good if one["peer"] == "joblot-http"]
    theirs = [one["items/s"] for one in good if one["peer"] not in OURS]
    found = []
    if ours and theirs:
        ratio = max(ours) / max(theirs)
        found.append(figure("no-ops end to end: joblot run / the best peer", [ratio], ">= 3"))
    if http and theirs:
        ratio = max(http) / max(theirs)
        found.append(figure("no-ops end to end: joblot over HTTP / the best peer", [ratio], ">= 1"))
    wrong = [one for one in runs if one["peer"] in OURS and _wrong(one)]
    found.append(figure("runs of joblot that lost or miscounted", [float(len(wrong))], "<= 0"))
    return found


def version(peer: Peer) -> str:
    if not peer.package:
        return importlib.metadata.version("joblot")
    if peer.node:
        package = HERE / "node" / "node_modules" / peer.package / "package.json"
        return str(json.loads(package.read_text())["version"]) if package.exists() else ""
    pattern = f"lib/python*/site-packages/{peer.package.replace('-', '_')}-*.dist-info"
    found = sorted((FOLDER / peer.venv).glob(pattern))
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else ""


def commit() -> str:
    return _output(["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"])


def _wrong(run: dict[str, Any]) -> bool:
    proof = run.get("proof")
    return not proof or bool(
        proof["lost"] or run["count error"] or proof["callbacks"] != 1 or not run["settled"]
    )


def _key(run: dict[str, Any]) -> tuple[str, str, str]:
    return run["kind"], run["peer"], run["variant"]


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
