"""What a worker process is to do: its server, what it serves, and its settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from joblot.errors import InvalidInput
from joblot.places import absolute, data_folder
from joblot.worker.command import END_SECONDS, Command
from joblot.worker.function import load, load_module
from joblot.worker.handlers import Handler, declared, handler
from joblot.worker.nats_address import NatsAddress
from joblot.worker.retrying import Retrying
from joblot.worker.settings import ITEM_SECONDS_MAX
from joblot.worker.spool import SPOOL_BYTES_MAX

URL = "JOBLOT_URL"


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker serves: a function or a command. It contains the token, so it is secret.

    `function` is `module:function`, or a module with functions declared with `@work`.
    """

    url: str
    token: str = ""
    token_file: str = ""  # from which it was read, and is read again when it is refused
    function: str = ""
    command: str = ""
    pipelines: Sequence[str] = ()
    batch: int | None = None
    retry_on: Sequence[str] = ()
    no_retry_on: Sequence[str] = ()
    job: int | None = None
    item_seconds_max: float = ITEM_SECONDS_MAX
    spool: str = ""
    spool_bytes_max: int = SPOOL_BYTES_MAX
    recycle_items: int = 0
    recycle_mb: int = 0
    keep_output: str = "failed"  # of which items to keep what they print: a Keep
    verbose: bool = False
    nats: str = ""  # from which leases are pulled; the url may then be empty
    nats_creds: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def call_seconds_max(self) -> float:
        """A call that takes longer is frozen. A command is killed before that."""
        return self.item_seconds_max + (END_SECONDS if self.command else 0.0)

    def handlers(self) -> list[Handler]:
        """Raises InvalidInput if the work can't be loaded, or serves nothing."""
        if self.command:
            work = Command.parsed(self.command, self.item_seconds_max).work(self._retrying)
            return [Handler(pipeline, work) for pipeline in self._named()]
        if ":" not in self.function:
            load_module(self.function)
            return self._of_these(declared(retrying=self._retrying))
        function = load(self.function)
        if known := declared(function, batch=self.batch, retrying=self._retrying):
            return (
                known
                if not self.pipelines
                else [
                    one
                    for name in self.pipelines
                    for one in declared(
                        function, pipeline=name, batch=self.batch, retrying=self._retrying
                    )[:1]
                ]
            )
        return [
            handler(name, function, batch=self.batch or 0, retrying=self._retrying)
            for name in self._named()
        ]

    @property
    def _retrying(self) -> Retrying:
        return Retrying(frozenset(self.retry_on), frozenset(self.no_retry_on))

    def spools(self) -> Path:
        """The folder of this server's spools: one server's results are never sent to another."""
        folder = absolute(Path(self.spool)) if self.spool else data_folder() / "spool"
        from joblot.worker.connection import base_of  # noqa: PLC0415 (slow to load)

        return folder / quote(base_of(self.url) if self.url else self.place, safe="")

    @property
    def nats_address(self) -> NatsAddress:
        return NatsAddress.parsed(self.nats, self.nats_creds)

    @property
    def place(self) -> str:
        """The server, or the first one of NATS, without credentials."""
        return self.url or self.nats_address.urls[0]

    def _of_these(self, known: Sequence[Handler]) -> list[Handler]:
        """Those of a module's handlers that serve the named pipelines; all if none is named."""
        served = {one.pipeline for one in known}
        if unknown := sorted(set(self.pipelines) - served):
            raise InvalidInput(
                f"--pipeline {', '.join(unknown)}: {self.function} serves "
                f"{', '.join(sorted(served)) or 'none'}"
            )
        return [one for one in known if not self.pipelines or one.pipeline in self.pipelines]

    def _named(self) -> Sequence[str]:
        if not self.pipelines:
            raise InvalidInput("expected --pipeline NAME: the pipeline to serve")
        return self.pipelines


def url_of(given: str | None) -> str:
    """The given server, or the one in the environment. Raises InvalidInput."""
    url = given_url(given)
    if not url:
        raise InvalidInput(f"expected the server's address: give it (--url), or set {URL}")
    return url


def given_url(given: str | None) -> str:
    """The same, or "" if none is given. Raises InvalidInput."""
    url = given or os.environ.get(URL, "")
    if url:
        from joblot.worker.connection import base_of  # noqa: PLC0415 (slow to load)

        base_of(url)
    return url
