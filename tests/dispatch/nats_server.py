"""A real nats-server with JetStream, started by the test, which may kill it and wipe its store."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nats
import pytest

from joblot.worker.nats_address import NatsAddress
from tests.polling import eventually

PROGRAM = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which(
    "nats-server"
)


class NatsServer:
    """Runs inside the block, on a port of its own; its store is in `folder`.

    `config` is added to its configuration; `ask` needs a server that authenticates nobody.
    """

    def __init__(self, folder: Path, config: str = "") -> None:
        if PROGRAM is None:
            pytest.skip("nats-server is not installed")
        self.store = folder / "nats"
        self._config = folder / "nats.conf"
        self._config.write_text(config)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"nats://127.0.0.1:{self.port}"
        self.address = NatsAddress((self.url,))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> Self:
        assert PROGRAM is not None
        command = [PROGRAM, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.store)]
        command += ["-c", str(self._config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._answers)
        return self

    def kill(self) -> None:
        """As by SIGKILL or a power cut."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Lose everything that it had stored."""
        shutil.rmtree(self.store, ignore_errors=True)

    def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        """What the question, a function of a JetStream context, answers."""

        async def asked() -> Any:
            client = await nats.connect(self.url)
            try:
                return await question(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asked())

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
