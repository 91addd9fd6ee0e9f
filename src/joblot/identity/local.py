"""The caller with the local token, which a server accepts if it was started to do so."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from pathlib import Path

from joblot import local
from joblot.errors import Unavailable
from joblot.identity.caller import LOCAL, Caller

logger = logging.getLogger("joblot.identity")


def local_caller(text: str) -> Caller | None:
    """This machine's user, if `text` is the token now in the file; reads no database."""
    if not text.startswith(local.PREFIX):
        return None
    token = _accepted()
    if token is None:
        return None
    return LOCAL if secrets.compare_digest(text.encode(), token.encode()) else None


def local_mark() -> str | None:
    """A hash of the token now in the file, by which a session of this machine's user is known."""
    token = _accepted()
    return None if token is None else hashlib.sha256(token.encode()).hexdigest()


def _accepted() -> str | None:
    """The token that this server accepts now; None if it was not started to accept one."""
    path = os.environ.get(local.ACCEPTED)
    if not path:
        return None
    try:
        return local.read_token(Path(path))
    except Unavailable as error:
        logger.warning("a request with a local token was refused: %s", error)
        return None
