"""Install what the peers need, each Python peer into an environment of its own: `make bench-peers`.

    python -m bench.peers.install [PEER ...]

Nothing of it is used by joblot or its tests. Redis comes from Debian, if we are root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv

from bench.peers.catalogue import PEERS
from bench.peers.workers import FOLDER, HERE

NODE = "nodejs"


def main() -> None:
    asked = set(sys.argv[1:])
    peers = [peer for peer in PEERS if not asked or peer.name in asked]
    if any("redis" in peer.services for peer in peers):
        install_redis()
    names = {NODE if peer.node else peer.venv for peer in peers} - {""}
    for name in sorted(names):
        install_environment(name)
    if NODE in names:
        install_node_packages()


def install_redis() -> None:
    if shutil.which("redis-server"):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit("expected redis-server on PATH (Debian: apt-get install redis-server)")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"]
    subprocess.run(command, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def install_environment(name: str) -> None:
    """Anew if the pinned requirements are not those that were installed."""
    folder, wanted = FOLDER / name, HERE / "requirements" / f"{name}.txt"
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == wanted.read_text():
        return
    print(f"installing {name}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--requirement", str(wanted)], check=True)
    shutil.copy(wanted, installed)


def install_node_packages() -> None:
    """No lock file: it would name the registry's host. Direct dependencies are pinned."""
    binaries = FOLDER / NODE / "bin"
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    command = [str(binaries / "npm"), "install", "--no-package-lock", "--no-audit", "--no-fund"]
    subprocess.run(command, check=True, cwd=HERE / "node", env=os.environ | {"PATH": path})


if __name__ == "__main__":
    main()
