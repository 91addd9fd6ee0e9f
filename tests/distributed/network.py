"""A machine of its own network: a namespace, connected to this one by a cable that can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

import pytest

BLOCK = "10.213"  # private; the rest of the addresses is derived from the process id
PLACES = 1 << 14  # pairs of addresses in the block


class OtherMachine:
    """A network namespace that exists inside the block; it reaches this machine at `host`.

    `via` is the beginning of a command that runs the rest of it there. Skips the test where no
    namespace can be created: it takes root, iproute2, and a kernel or a container that permits it.
    """

    def __init__(self) -> None:
        number = os.getpid() % PLACES
        third, fourth = divmod(4 * number, 256)
        self.host = f"{BLOCK}.{third}.{fourth + 1}"
        self._address = f"{BLOCK}.{third}.{fourth + 2}"
        self._namespace = f"joblot-{number}"
        self._near, self._far = f"jl{number}n", f"jl{number}f"
        self.via = ("ip", "netns", "exec", self._namespace)

    def __enter__(self) -> Self:
        if shutil.which("ip") is None or os.geteuid() != 0:
            pytest.skip("NOT TESTED: a cut network needs root and the program `ip` (iproute2)")
        try:
            _ip("netns", "add", self._namespace)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"NOT TESTED: no network namespace can be created here: {error.stderr}")
        try:
            self._connect()
        except subprocess.CalledProcessError as error:
            self._remove()
            pytest.skip(f"NOT TESTED: namespaces can't be connected here: {error.stderr}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def cut(self) -> None:
        """Nothing passes in either direction, and nobody is notified of it."""
        _ip("link", "set", self._near, "down")

    def mend(self) -> None:
        _ip("link", "set", self._near, "up")

    def _connect(self) -> None:
        far = ("-n", self._namespace)
        peer = ("peer", "name", self._far, "netns", self._namespace)
        _ip("link", "add", self._near, "type", "veth", *peer)
        _ip("address", "add", f"{self.host}/30", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip(*far, "address", "add", f"{self._address}/30", "dev", self._far)
        _ip(*far, "link", "set", "lo", "up")
        _ip(*far, "link", "set", self._far, "up")

    def _remove(self) -> None:
        """The cable ends with either of its ends."""
        subprocess.run(["ip", "link", "delete", self._near], check=False, capture_output=True)
        _ip("netns", "delete", self._namespace)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
