"""The servers of NATS and how to authenticate with them. Imports no NATS client."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit

from joblot.errors import InvalidInput

NATS = "JOBLOT_NATS_URL"
NATS_CREDS = "JOBLOT_NATS_CREDS"
SCHEMES = ("nats", "tls", "ws", "wss")
PORT = 4222
EXPECTED = "--nats: expected the address of NATS, such as nats://host:4222, or several, by commas"


@dataclass(frozen=True, slots=True)
class NatsAddress:
    """Servers of one cluster, in `urls` without credentials, and the credentials for all of them.

    `user` with `password`, `token` and `credentials_file` (a `.creds` file of NATS) exclude each
    other. With the scheme `tls`, certificates are verified against the system's authorities, or
    those in SSL_CERT_FILE.
    """

    urls: tuple[str, ...]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    credentials_file: str = ""

    @classmethod
    def parsed(cls, text: str, credentials_file: str = "") -> Self:
        """Of URLs separated by commas. Raises InvalidInput, without the credentials."""
        servers = [_server(one.strip()) for one in text.split(",")]
        if len({one.scheme in ("ws", "wss") for one in servers}) > 1:
            raise InvalidInput("--nats: addresses of WebSockets can't be mixed with others")
        given = {(one.username, one.password) for one in servers if one.username is not None}
        if len(given) > 1:
            raise InvalidInput("--nats: the servers of a cluster take the same credentials")
        name, password = next(iter(given), (None, None))
        if credentials_file and given:
            raise InvalidInput("--nats-creds: leave out the credentials in the address")
        if credentials_file and not os.access(credentials_file, os.R_OK):
            raise InvalidInput(f"--nats-creds: {credentials_file} can't be read")
        is_user = password is not None
        return cls(
            tuple(f"{one.scheme}://{_host(one)}" for one in servers),
            user=unquote(name or "") if is_user else "",
            password=unquote(password or ""),
            token="" if is_user else unquote(name or ""),
            credentials_file=credentials_file,
        )

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the client's `connect` that say where and as whom."""
        named = {
            "user": self.user,
            "password": self.password,
            "token": self.token,
            "user_credentials": self.credentials_file,
        }
        return {"servers": list(self.urls)} | {name: one for name, one in named.items() if one}

    def __str__(self) -> str:
        return ",".join(self.urls)


def given_nats(urls: str | None, credentials_file: str | None) -> tuple[str, str]:
    """The URLs and the file, by default those in the environment; empty without URLs.

    Raises InvalidInput.
    """
    text = urls or os.environ.get(NATS, "")
    file = credentials_file or os.environ.get(NATS_CREDS, "")
    if not text:
        return "", ""
    NatsAddress.parsed(text, file)
    return text, file


def _server(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise InvalidInput(EXPECTED)
    return parts


def _host(parts: SplitResult) -> str:
    """With the port, which has a default except for WebSockets."""
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    port = parts.port or (PORT if parts.scheme in ("nats", "tls") else None)
    return f"{host}:{port}" if port else host
