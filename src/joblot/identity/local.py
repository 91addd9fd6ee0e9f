"""The caller with the local token, which a server accepts if it was started to do so."""

from __future__ import annotations

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
    path = os.environ.get(local.ACCEPTED)
    if not path or not text.startswith(local.PREFIX):
        return None
    try:
        token = local.read_token(Path(path))
    except Unavailable as error:
        logger.warning("a request with a local token was refused: %s", error)
        return None
    return LOCAL if secrets.compare_digest(text.encode(), token.encode()) else None
