"""What `nsc` creates for a NATS server in operator mode: signed accounts, and `.creds` files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

UNLIMITED = -1
ACCOUNT_LIMITS = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf"), UNLIMITED
)
JETSTREAM_LIMITS = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), UNLIMITED)
CONFIG = """
operator: {operator}
system_account: {system}
resolver: MEMORY
resolver_preload: {{ {system}: {system_jwt}, {account}: {account_jwt} }}
"""
CREDS = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


class Operator:
    """An operator with one account, and its server's `config`."""

    def __init__(self) -> None:
        import nkeys

        self._operator = _pair(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = _pair(nkeys.PREFIX_BYTE_ACCOUNT)
        system = _pair(nkeys.PREFIX_BYTE_ACCOUNT)
        self.config = CONFIG.format(
            operator=_jwt(self._operator, self._operator, "operator", {}),
            system=_name(system),
            system_jwt=self._account_jwt(system, {}),
            account=_name(self._account),
            account_jwt=self._account_jwt(self._account, JETSTREAM_LIMITS),
        )

    def write_user(self, file: Path, seconds: int | None = None) -> Path:
        """The credentials of a new user of the account, valid for so long."""
        import nkeys

        user = _pair(nkeys.PREFIX_BYTE_USER)
        may = {"pub": {}, "sub": {}, "subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED}
        jwt = _jwt(self._account, user, "user", may, seconds)
        file.write_text(CREDS.format(jwt=jwt, seed=bytes(user.seed).decode()))
        return file

    def _account_jwt(self, account: Any, jetstream: dict[str, int]) -> str:
        limits = ACCOUNT_LIMITS | {"wildcards": True} | jetstream
        return _jwt(self._operator, account, "account", {"limits": limits})


def _pair(prefix: int) -> Any:
    import nkeys

    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def _name(pair: Any) -> str:
    return bytes(pair.public_key).decode()


def _jwt(
    issuer: Any, subject: Any, kind: str, claims: dict[str, Any], seconds: int | None = None
) -> str:
    """A token of NATS, version 2, as its documentation of JWT describes it."""
    body: dict[str, Any] = {
        "iat": int(time.time()),
        "iss": _name(issuer),
        "sub": _name(subject),
        "name": kind,
        "nats": claims | {"type": kind, "version": 2},
    }
    if seconds is not None:
        body["exp"] = int(time.time()) + seconds
    digest = hashlib.new("sha512_256", json.dumps(body).encode()).digest()
    body["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _base64({"typ": "JWT", "alg": "ed25519-nkey"})
    signed = f"{head}.{_base64(body)}"
    return f"{signed}.{_plain(issuer.sign(signed.encode()))}"


def _base64(value: dict[str, Any]) -> str:
    return _plain(json.dumps(value, separators=(",", ":")).encode())


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
