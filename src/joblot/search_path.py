"""Where Python finds modules. Imports no Django."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def add_working_folder() -> None:
    """Make the modules of the working folder importable, behind the standard library.

    So a file there that has the name of a standard module (`queue.py`, `email.py`) does not replace
    it in joblot and in libraries. It comes before installed packages, as with `python FILE`: call
    this after joblot's own imports.
    """
    folder = str(Path.cwd())
    if folder in sys.path or "" in sys.path:
        return
    library = sysconfig.get_path("stdlib")
    ours = {library, sysconfig.get_path("platstdlib"), str(Path(library) / "lib-dynload")}
    behind = [n for n, place in enumerate(sys.path, start=1) if place in ours]
    sys.path.insert(max(behind, default=len(sys.path)), folder)
