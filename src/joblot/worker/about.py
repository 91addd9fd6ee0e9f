"""What a worker reports about itself when it claims. For people; no decision depends on it."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import cache
from importlib.metadata import version
from typing import Any
from uuid import uuid4

GPU_SECONDS_MAX = 10.0  # for nvidia-smi, which may hang together with its driver
GPUS_MAX = 16
HOST_CHARS_MAX = 100


def new_instance() -> str:
    """A new, unique name for a worker: host/random."""
    return f"{_host()}/{uuid4().hex[:12]}"


def about() -> dict[str, Any]:
    """Version, host and hardware: `cpus`, `memory_bytes` and the names of the `gpus`."""
    hardware = {"cpus": _cpus(), "memory_bytes": _memory_bytes(), "gpus": list(_gpus())}
    return {"version": version("joblot"), "host": _host(), "hardware": hardware}


def _host() -> str:
    shown = socket.gethostname()[:HOST_CHARS_MAX]
    return "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in shown)


def _cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


# Threads: called by one thread, before the others start.
@cache
def _gpus() -> tuple[str, ...]:
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=GPU_SECONDS_MAX,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip()[:HOST_CHARS_MAX] for line in listed.splitlines()[:GPUS_MAX])
