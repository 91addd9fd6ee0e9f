"""For the peers' Python modules: record a call or a callback in the truth file (see truth.py)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ITEMS = int(os.environ.get("PEER_ITEMS", "0"))
BATCH = int(os.environ.get("PEER_BATCH", "0"))
TUNED = os.environ.get("PEER_TUNED") == "1"
DATABASE_URL = os.environ.get("PEER_DATABASE_URL", "")
REDIS_URL = os.environ.get("PEER_REDIS_URL", "")
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_items = os.open(os.environ["PEER_TRUTH"] + "/items", _APPEND)


def program(name: str) -> str:
    """The command that a package has installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def ran(number: int) -> None:
    """The work of an item: nothing but this write."""
    os.write(_items, b"%07d\n" % number)


def called_back(results: int = -1) -> None:
    """The callback that a framework calls when all items are done, given so many results."""
    file = os.open(os.environ["PEER_TRUTH"] + "/callbacks", _APPEND)
    os.write(file, b"%d %d\n" % (os.fstat(_items).st_size // 8, results))
    os.close(file)
