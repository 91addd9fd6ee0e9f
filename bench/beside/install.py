"""Install what is measured beside joblot.

    python -m bench.beside.install

joblib and Dask get an environment of their own; GNU parallel comes from Debian, if we are root.
Nothing of it is used by joblot or its tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import venv

from bench.beside.tools import HERE

WANTED = HERE / "requirements.txt"
FOLDER = HERE / ".venv"


def main() -> None:
    install_parallel()
    installed = FOLDER / "installed.txt"
    if installed.exists() and installed.read_text() == WANTED.read_text():
        return
    venv.create(FOLDER, clear=True, with_pip=True)
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--requirement", str(WANTED)], check=True)
    shutil.copy(WANTED, installed)


def install_parallel() -> None:
    if shutil.which("parallel"):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit("expected parallel on PATH (Debian: apt-get install parallel)")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "parallel"]
    subprocess.run(command, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


if __name__ == "__main__":
    main()
