"""The measured server: joblot's own application, and the endpoint that does no work."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def served(database_url: str) -> Iterator[tuple[int, int]]:
    """Start a server in its own process; yields its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "JOBLOT_DATABASE_URL": database_url,
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:]]),
    }
    command = [sys.executable, str(HERE / "serving.py"), str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        _await(port)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).read()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")
