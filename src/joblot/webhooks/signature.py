"""Signatures as in Standard Webhooks 1.0: HMAC-SHA256 of id, timestamp and body. No Django."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from joblot.errors import InvalidInput

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a secret of 256 random bits, as text: whsec_ followed by base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature: `v1,` and base64. Neither id nor timestamp may contain a full stop.

    `timestamp` is in Unix seconds. Raises InvalidInput for an invalid secret.
    """
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise InvalidInput("secret: expected whsec_ and base64, as shown with the new webhook")
    return key
